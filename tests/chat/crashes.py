"""Run by test_crashes.py: a conversation in forked children that are killed, and what is left of it.

    python -m tests.chat.crashes FOLDER STORE SEED COUNT     STORE is an SQLite file or a postgresql:// URL

After every kill the next child opens the conversation and says what is not among its turns yet. In the end the
turns must be those of an undisturbed conversation. Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.chat import open_chats
from tests.chat.talk import look_at, talking
from tests.conftest import World
from tests.crashes import killed, undisturbed

MESSAGES = ["a red square", "yes", "no, a blue one", "like 2", "forget that, a white one"]


def converse(world: World, store: str, thread: str, report: Path) -> None:
    asyncio.run(_converse(world, store, thread, report))


async def _converse(world: World, store: str, thread: str, report: Path) -> None:
    known: dict[str, dict[str, float]] = {}
    see = look_at(world)

    def look(asked: Any) -> Any:
        name = world.keys[asked.images[-1]]
        repeated = any(question in asked.text for question in known.get(name, {}))
        assert not repeated, f"{asked.text!r} of {name!r} was answered before the restart"
        return see(asked)

    services = talking(world, verifier=world.role("verifier", scorer=look))
    async with open_chats(services, store=store) as chats:
        if (conversation := await chats.store.find(thread)) is not None:
            known.update((await chats.store.state(conversation))["verdicts"])
        kept = await chats.store.saver.aget_tuple({"configurable": {"thread_id": chats.store.key(thread)}})
        if kept is not None:
            known.update(kept.checkpoint["channel_values"].get("verdicts", {}))
        session = await chats.get(thread)
        known.clear()
        for message in MESSAGES[len(await session.turns()) :]:
            await session.say(message)
        turns = [
            {
                "message": turn["message"],
                "ranking": [hit["id"] for hit in turn["results"]],
                "question": turn["question"],
                "calls": {entry["step"]: entry["calls"] for entry in turn["usage"]},
            }
            for turn in await session.turns()
        ]
        report.write_text(json.dumps(turns))


def kill(world: World, store: str, seed: int, count: int, base: Path) -> dict[str, Any]:
    seconds = undisturbed(partial(converse, world, store, "whole", base / "whole"))
    whole = json.loads((base / "whole").read_text())
    assert [turn["message"] for turn in whole] == MESSAGES
    moments, kills, conversations = random.Random(seed), 0, 0
    while kills < count:
        conversations += 1
        assert conversations <= 20 * count + 10, "hardly ever killed in time"
        thread, report = f"t{seed}-{conversations}", base / f"report{conversations}"
        talk = partial(converse, world, store, thread, report)
        while kills < count and killed(talk, moments.uniform(0, seconds)):
            kills += 1
        undisturbed(talk)  # whoever was done before has nothing left to say
        assert json.loads(report.read_text()) == whole, f"conversation {conversations} of seed {seed}"
    return {"killed": kills, "conversations": conversations, "seconds": seconds}


if __name__ == "__main__":
    folder, store, seed, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    json.dump(kill(World(folder / "world"), store, seed, count, folder), sys.stdout)

"""Run by test_crashes.py: a conversation in forked children that are killed, and what is left of it.

    python crashes.py FOLDER STORE SEED COUNT     STORE is an SQLite file or a postgresql:// URL

After every kill the next child opens the conversation and says what is not among its turns yet. In the end the
turns must be those of an undisturbed conversation. Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.chat import open_chats
from tests.chat.talk import look_at, talking
from tests.conftest import World

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
        kept = await chats.saver.aget_tuple({"configurable": {"thread_id": chats.key(thread)}})
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


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:  # a child never goes on into the loop of its parent
            traceback.print_exc()
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(world: World, store: str, seed: int, count: int, base: Path) -> dict[str, Any]:
    start = time.monotonic()
    assert ended(child(partial(converse, world, store, "whole", base / "whole"))) == 0
    seconds = time.monotonic() - start
    whole = json.loads((base / "whole").read_text())
    assert [turn["message"] for turn in whole] == MESSAGES
    moments, killed, conversations = random.Random(seed), 0, 0
    while killed < count:
        conversations += 1
        assert conversations <= 3 * count + 10, "hardly ever killed in time"
        thread, report = f"t{seed}-{conversations}", base / f"report{conversations}"
        while True:
            pid = child(partial(converse, world, store, thread, report))
            if killed < count:
                time.sleep(moments.uniform(0, seconds))
                os.kill(pid, signal.SIGKILL)
            code = ended(pid)
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
            killed += 1
        assert json.loads(report.read_text()) == whole, f"conversation {conversations} of seed {seed}"
    return {"killed": killed, "conversations": conversations, "seconds": seconds}


if __name__ == "__main__":
    folder, store, seed, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    json.dump(kill(World(folder / "world"), store, seed, count, folder), sys.stdout)

"""Run by test_stores.py: two processes hold conversations in one store at the same time.

    python -m tests.chat.together FOLDER STORE

Each process holds its own conversations at once and both talk in one they share. Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.chat import Chats, open_chats
from tests.chat.talk import talking
from tests.conftest import World
from tests.crashes import child, ended

OWN = {"one": ["red", "green", "blue", "yellow"], "two": ["white", "black", "purple", "orange"]}
SHARED = 4  # turns that each process says in the conversation they share


def talk(world: World, store: str, name: str, report: Path) -> None:
    report.write_text(json.dumps(asyncio.run(_talk(world, store, name))))


async def _talk(world: World, store: str, name: str) -> dict[str, str]:
    async with open_chats(talking(world), store=store) as chats:

        async def own(colour: str) -> str:
            session = await chats.create(f"{name}-{colour}")
            await session.say(f"a {colour} square")
            turn = await session.say("skip")
            return str(turn["results"][0]["id"])

        found = await asyncio.gather(*(own(colour) for colour in OWN[name]), _shared(chats, name))
        return dict(zip(OWN[name], found, strict=False))


async def _shared(chats: Chats, name: str) -> str:
    session = await chats.open("shared")
    for number in range(SHARED):
        await session.say(f"a blue square, says {name} {number}")
    return "shared"


async def begin(world: World, store: str) -> None:
    async with open_chats(talking(world), store=store) as chats:
        await (await chats.create("shared")).say("a blue square")


async def summary(world: World, store: str) -> dict[str, Any]:
    async with open_chats(talking(world), store=store) as chats:
        shared = [turn["message"] for turn in await (await chats.open("shared")).turns()]
        return {"threads": sorted(row["thread"] for row in await chats.list()), "shared": shared}


def main(folder: Path, store: str) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder / "world")
    asyncio.run(begin(world, store))
    pids = [child(partial(talk, world, store, name, folder / name)) for name in OWN]
    assert [ended(pid) for pid in pids] == [0, 0]
    found = {name: json.loads((folder / name).read_text()) for name in OWN}
    return {"found": found, **asyncio.run(summary(world, store))}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), sys.argv[2]), sys.stdout)

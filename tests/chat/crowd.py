"""Run by test_crowd.py: many processes talk in one store at once, all of them also in one new conversation.

    python -m tests.chat.crowd FOLDER STORE PROCESSES

Each process begins the shared conversation where it is not there yet, and holds four of its own. Prints a JSON summary.
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

COLOURS = ("red", "green", "blue", "yellow")
SHARED = 4  # turns that each process says in the conversation they share


def talk(world: World, store: str, number: int, report: Path) -> None:
    report.write_text(json.dumps(asyncio.run(_talk(world, store, number))))


async def _talk(world: World, store: str, number: int) -> dict[str, str]:
    async with open_chats(talking(world), store=store) as chats:

        async def own(colour: str) -> str:
            session = await chats.create(f"p{number}-{colour}")
            turn: Any = await session.say(f"a {colour} square")
            return str(turn["results"][0]["id"])

        found, _ = await asyncio.gather(_one_by_one(own), _shared(chats, number))
        return found


async def _one_by_one(own: Any) -> dict[str, str]:
    return {colour: await own(colour) for colour in COLOURS}


async def _shared(chats: Chats, number: int) -> None:
    session = await chats.get("shared")
    for count in range(SHARED):
        await session.say(f"a blue square, says {number} {count}")


async def summary(world: World, store: str) -> dict[str, Any]:
    async with open_chats(talking(world), store=store) as chats:
        shared = [turn["message"] for turn in await (await chats.open("shared")).turns()]
        return {"threads": sorted(row["thread"] for row in await chats.list()), "shared": shared}


def main(folder: Path, store: str, processes: int) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder / "world")
    pids = [child(partial(talk, world, store, n, folder / f"report{n}")) for n in range(processes)]
    assert [ended(pid) for pid in pids] == [0] * processes
    found = [json.loads((folder / f"report{n}").read_text()) for n in range(processes)]
    return {"found": found, **asyncio.run(summary(world, store))}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])), sys.stdout)

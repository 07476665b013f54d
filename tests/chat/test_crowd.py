"""Many processes on one store: every message is taken once, in order, and nobody waits while others talk twice.

CROWD=8 make test ARGS=tests/chat/test_crowd.py
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from imagescope_agent.runs.locks import file_lock
from tests.chat.crowd import COLOURS, SHARED
from tests.crashes import child, ended, script

CROWD = int(os.environ.get("CROWD", "3"))


@pytest.mark.slow
def test_processes_that_begin_one_conversation_together_are_all_heard(store: str, tmp_path: Path) -> None:
    told = script("tests.chat.crowd", tmp_path / "crowd", store, CROWD)
    assert told["found"] == [{colour: f"{colour}.png" for colour in COLOURS}] * CROWD
    own = [f"p{number}-{colour}" for number in range(CROWD) for colour in COLOURS]
    assert told["threads"] == sorted(["shared", *own])
    said = [message.split(" says ")[1].split() for message in told["shared"]]
    assert sorted(said) == sorted([str(n), str(count)] for n in range(CROWD) for count in range(SHARED))
    for number in range(CROWD):  # each speaker's in order
        assert [count for speaker, count in said if speaker == str(number)] == list(map(str, range(SHARED)))


def test_who_waits_comes_before_who_comes_back(tmp_path: Path) -> None:
    async def story() -> list[str]:
        order: list[str] = []

        async def speak(name: str, times: int) -> None:
            for _ in range(times):
                async with file_lock(tmp_path, "t"):
                    order.append(name)
                    await asyncio.sleep(0.1)

        async with file_lock(tmp_path, "t"):
            speakers = []
            for name in ("one", "two", "three"):
                speakers.append(asyncio.create_task(speak(name, 3)))
                await asyncio.sleep(0.1)
        await asyncio.gather(*speakers)
        return order

    assert asyncio.run(story()) == ["one", "two", "three"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["t.lock"]


def test_the_place_of_a_dead_process_is_passed(tmp_path: Path) -> None:
    async def wait_for_ever() -> None:
        async with file_lock(tmp_path, "t", timeout=600):
            raise AssertionError("it was free")

    async def story() -> None:
        async with file_lock(tmp_path, "t"):
            pid = child(lambda: asyncio.run(wait_for_ever()))
            while not list(tmp_path.glob("t.waiting/0*")):
                await asyncio.sleep(0.01)
            os.kill(pid, 9)
            assert ended(pid) == -9
        async with file_lock(tmp_path, "t", timeout=30):
            assert not list(tmp_path.glob("t.waiting/0*"))

    asyncio.run(story())


def test_a_queue_whose_folder_goes_away_while_one_joins_is_joined_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t.waiting"
    gone: list[Path] = []
    list_folder = os.listdir

    def listed(path: Path) -> list[str]:
        if path == folder and folder.is_dir() and not gone:
            folder.rmdir()  # as the last one that waits does when it leaves
            gone.append(path)
        return list_folder(path)

    async def story() -> list[str]:
        order: list[str] = []

        async def second() -> None:
            async with file_lock(tmp_path, "t", timeout=30):
                order.append("second")

        async with file_lock(tmp_path, "t"):
            monkeypatch.setattr("imagescope_agent.runs.locks.os.listdir", listed)
            waiting = asyncio.create_task(second())
            await asyncio.sleep(0.1)
            monkeypatch.undo()
            order.append("first")
        await waiting
        return order

    assert asyncio.run(story()) == ["first", "second"] and gone

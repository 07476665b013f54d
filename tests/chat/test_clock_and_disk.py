"""A clock that is set back and forth, a disk that is full, a store that takes nothing.

CLOCKS=50 make test ARGS=tests/chat/test_clock_and_disk.py
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.checkpoint.base import id as ids

from imagescope_agent.chat import open_chats
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.runs.checkpoints import ReadOnly
from tests.chat.talk import look_at, talking, think

CLOCKS = int(os.environ.get("CLOCKS", "6"))
HOUR = 3600 * 10**9


class Clock:
    """The clock of LangGraph's checkpoint ids, which a new process reads anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moved, real = 0, time.time_ns
        self._patch = monkeypatch
        monkeypatch.setattr(time, "time_ns", lambda: real() + self.moved)

    def move(self, nanoseconds: int) -> None:
        self.moved += nanoseconds
        self._patch.setattr(ids, "_last_v6_timestamp", None)


@pytest.mark.slow
def test_turns_keep_their_order_when_the_clock_does_not(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = Clock(monkeypatch), [f"a red square, number {number}" for number in range(CLOCKS)]

    async def story() -> None:
        for number, message in enumerate(said):
            async with open_chats(talking(world), store=store) as chats:
                session = await chats.get("t")
                await session.say(message)
                assert [turn["message"] for turn in await session.turns()] == said[: number + 1]
                assert (await session.state())["message"] == message
            clock.move(-HOUR if number % 2 else HOUR)

    asyncio.run(story())


def test_a_turn_that_is_cut_off_goes_on_though_the_clock_was_set_back(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    asked: list[str] = []

    def failing(name: str, step: str) -> Any:
        def answer(asked_: Any) -> Any:
            kind = (asked_.options or {}).get("response_format")
            asked.append(str(kind))
            if kind == step:
                raise BackendUnavailable(f"{name} is away")
            return think(asked_)

        return world.role("reasoner", answer)

    async def story() -> None:
        async with open_chats(
            talking(world, reasoner=failing("one", "PredicatesAnswer")), store=store
        ) as chats:
            with pytest.raises(BackendUnavailable):
                await (await chats.get("t")).say("a red square")
        for step in ("ProposalAnswer", "ProposalAnswer", ""):
            clock.move(-HOUR)
            async with open_chats(talking(world, reasoner=failing("two", step)), store=store) as chats:
                session = await chats.open("t")
                assert (await session.pending() is None) == (step == "")

    async def turns() -> list[Any]:
        async with open_chats(talking(world), store=store) as chats:
            return await (await chats.open("t")).turns()

    asyncio.run(story())
    told = [(turn["message"], turn["results"][0]["id"]) for turn in asyncio.run(turns())]
    assert told == [("a red square", "red.png")]
    assert asked.count("IntentAnswer") == 1  # what was understood before is not asked again


def _counting(world: Any, counted: list[Any]) -> Any:
    see = look_at(world)

    def look(asked: Any) -> Any:
        counted.append(asked)
        return see(asked)

    return talking(world, verifier=world.role("verifier", scorer=look))


def test_a_full_disk_is_told_before_any_model_is_asked(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []

    async def story() -> None:
        async with open_chats(_counting(world, counted), store=tmp_path / "chats.sqlite") as chats:
            session = await chats.create("t")
            await session.say("a red square")
            counted.clear()
            pages = (await chats.store.turns.database.fetch("pragma page_count"))[0][0]
            await chats.store.turns.database.fetch("vacuum")
            await chats.store.turns.database.fetch(f"pragma max_page_count={pages // 100 + 1}")
            message = "a blue square " + "that is large " * 250  # no page is left for it
            with pytest.raises(BadInput, match="full"):
                await session.say(message)
            assert counted == []
            assert [turn["message"] for turn in await session.turns()] == ["a red square"]
            assert [row["turns"] for row in await chats.list()] == [1]
            assert len((await session.export())["turns"]) == 1
            await chats.store.turns.database.fetch("pragma max_page_count=1000000")
            assert await session.pending() is None
            usage = SimpleNamespace(f_bavail=10, f_frsize=4096)
            with monkeypatch.context() as full:
                full.setattr(os, "statvfs", lambda _: usage)
                with pytest.raises(ReadOnly, match="full"):
                    await session.say("a blue square")
            assert counted == []
            await session.say("a blue square")

    asyncio.run(story())


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_store_that_takes_nothing_is_read(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    place, counted = tmp_path / "kept" / "chats.sqlite", list[Any]()
    place.parent.mkdir()

    async def before() -> None:
        async with open_chats(talking(world), store=tmp_path / "chats.sqlite") as chats:
            await (await chats.create("t")).say("a red square")
            if how == "killed":  # its log is still beside it
                for file in tmp_path.glob("chats.sqlite*"):
                    if file.is_file():
                        shutil.copy(file, place.parent / file.name)
        if how == "closed":
            shutil.copy(tmp_path / "chats.sqlite", place)

    async def after() -> None:
        async with open_chats(_counting(world, counted), store=place) as chats:
            assert [(row["thread"], row["turns"]) for row in await chats.list()] == [("t", 1)]
            session = await chats.open("t")
            assert [turn["message"] for turn in await session.turns()] == ["a red square"]
            assert (await session.export())["turns"][0]["results"][0]["id"] == "red.png"
            for refused in (
                session.say("blue"),
                session.undo(),
                session.branch(),
                chats.delete("t"),
                chats.create(),
            ):
                with pytest.raises(ReadOnly):
                    await refused
            assert counted == []

    asyncio.run(before())
    access = os.access
    monkeypatch.setattr(  # whoever runs the tests may be root, for whom nothing is read-only
        os, "access", lambda path, mode, **given: mode != os.W_OK and access(path, mode, **given)
    )
    asyncio.run(after())

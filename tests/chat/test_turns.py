"""The table of turns: what stays of a turn, what a kill leaves behind, how far back a conversation reaches."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.chat import Chats, open_chats
from imagescope_agent.chat.storage import kept
from imagescope_agent.chat.storage import turns as table
from imagescope_agent.errors import BadInput
from tests.chat.talk import talking

OLDER = Path(__file__).parents[1] / "older" / "index" / "chats.sqlite"


class Killed(BaseException):
    """In place of a kill: nothing of the package handles it."""


async def checkpoints(chats: Chats) -> int:
    rows = await chats.store.turns.database.fetch("select count(*) from checkpoints")
    return int(rows[0][0])


def test_nothing_of_the_running_state_stays_of_a_finished_turn(world: Any, store: str) -> None:
    async def story() -> None:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("t")
            for said in ("a red square", "yes", "like 2"):
                await session.say(said)
                assert await checkpoints(chats) == 0
            rows = await chats.store.turns.database.fetch(
                "select number, length(turn), length(kept), length(verdicts) from imagescope_turns order by number"
            )
            assert [row[0] for row in rows] == [1, 2, 3]
            assert all(sum(row[1:]) < 10_000 for row in rows)

    asyncio.run(story())


def test_a_kill_between_the_end_of_a_turn_and_the_end_of_its_checkpoints(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed() -> None:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("t")
            saver, delete, calls = chats.store.saver, chats.store.saver.adelete_thread, []

            async def die_at_the_end(thread: str) -> None:
                calls.append(thread)
                if len(calls) == 2:  # the first one precedes the turn
                    raise Killed
                await delete(thread)

            with monkeypatch.context() as patched:
                patched.setattr(saver, "adelete_thread", die_at_the_end)
                with pytest.raises(Killed):
                    await session.say("a red square")
            assert await checkpoints(chats) > 0

    async def after() -> None:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.open("t")
            assert [turn["message"] for turn in await session.turns()] == ["a red square"]
            await session.say("no, a blue one")
            assert [turn["message"] for turn in await session.turns()] == ["a red square", "no, a blue one"]
            assert await checkpoints(chats) == 0

    asyncio.run(killed())
    asyncio.run(after())


def test_a_turn_that_is_kept_was_said_whatever_happens_to_its_checkpoints(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> list[str]:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("t")
            saver, delete, calls = chats.store.saver, chats.store.saver.adelete_thread, []

            async def locked_at_the_end(thread: str) -> None:
                calls.append(thread)
                if len(calls) == 2:  # the first one precedes the turn
                    raise sqlite3.OperationalError("database is locked")
                await delete(thread)

            monkeypatch.setattr(saver, "adelete_thread", locked_at_the_end)
            turn = await session.say("a red square")
            assert turn["message"] == "a red square" and await session.pending() is None
            await session.say("it is warm")
            assert await checkpoints(chats) == 0
            return [each["message"] for each in await session.turns()]

    assert asyncio.run(story()) == ["a red square", "it is warm"]


def test_undo_and_branches_reach_as_far_back_as_is_kept(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "REACH", 2)

    async def story() -> None:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("t")
            for number in range(4):
                await session.say(f"a red square, number {number}")
            assert len(await session.turns()) == 4  # what was said and found stays
            with pytest.raises(BadInput, match="does not reach back to turn 2"):
                await session.branch(2)
            assert len(await (await session.branch(0)).turns()) == 0
            assert len(await session.undo()) == 3
            with pytest.raises(BadInput, match="does not reach back to turn 2"):
                await session.undo()
            await session.say("a blue square")

    asyncio.run(story())


def test_what_the_oldest_turns_need_goes_when_it_takes_too_much_room(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "REACH_BYTES", 2_000)

    async def story() -> None:
        async with open_chats(talking(world), store=store) as chats:
            database = chats.store.turns.database
            session = await chats.create("t")
            await session.say("a red square")
            state = kept.kept_state(await session.state())
            (turn,) = await session.turns()
            key = chats.store.key("t")
            for number in range(2, 33):
                await chats.store.turns.finish(
                    key, number, turn, {**state, "request": os.urandom(100).hex()}, {}
                )
            rows = await database.fetch(
                "select number from imagescope_turns where kept is not null order by number"
            )
            assert 1 < len(rows) < 16 and rows[-1] == (32,)
            assert (await session.state())["turns"][31]["message"] == "a red square"

    asyncio.run(story())


def test_of_many_verdicts_those_that_matter_stay() -> None:
    fact = {"type": "Addition", "text": "red", "predicates": [{"question": "Is it red?", "expected": "Yes"}]}
    state = {"facts": [fact], "pool": ["Is it warm?"]}
    few = {f"{number}.png": {"Is it old?": 0.5} for number in range(kept.FEW_VERDICTS)}
    assert kept.bounded_verdicts(few, state) == few
    answers = {"Is it red?": 0.9, "Is it old?": 0.5, "Is it warm?": 0.25}
    many = {**few, **{f"{number}.jpg": answers for number in range(1500)}}
    bounded = kept.bounded_verdicts(many, state)
    assert list(bounded) == [f"{number}.jpg" for number in range(500, 1500)]  # the last ones, in their order
    assert bounded["700.jpg"] == {"Is it red?": 0.9, "Is it warm?": 0.25}


def test_a_store_of_an_older_version_is_shrunk(world: Any, tmp_path: Path) -> None:
    place = world.collection.location / "chats.sqlite"
    shutil.copy(OLDER, place)
    services = replace(talking(world), profile="mini")

    async def story() -> tuple[int, int, int]:
        async with open_chats(services) as chats:
            before = await chats.list()
            assert [(row["thread"], row["turns"], row["last"]) for row in before] == [
                ("kept", 3, "in the snow")
            ]
            told = await chats.compact()
            assert [{**row, "at": ""} for row in await chats.list()] == [{**row, "at": ""} for row in before]
            assert await checkpoints(chats) == 0
            session = await chats.open("kept")
            assert [turn["message"] for turn in await session.turns()] == [
                "a blue car",
                "/like 1",
                "in the snow",
            ]
            assert len(await session.undo()) == 2 and len(await session.undo()) == 1
            return told

    converted, before, after = asyncio.run(story())
    assert converted == 1 and after < before / 4
    assert place.stat().st_size <= after

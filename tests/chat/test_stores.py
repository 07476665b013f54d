"""What keeps conversations: many at once, several processes, several collections, and how old ones go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.chat import Chats, open_chats
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.runs.locks import file_lock
from tests.chat.talk import talking
from tests.chat.together import OWN, SHARED
from tests.conftest import World
from tests.crashes import script


def first(turn: Any) -> str:
    return str(turn["results"][0]["id"])


@pytest.mark.slow
def test_32_sessions_at_once_see_nothing_of_each_other(world: Any, store: str) -> None:
    colours = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange"] * 4

    async def one(chats: Chats, colour: str) -> Any:
        session = await chats.create()
        await session.say(f"a {colour} square")
        return await session.say("skip")

    async def story() -> list[Any]:
        async with open_chats(talking(world), store=store) as chats:
            return await asyncio.gather(*(one(chats, colour) for colour in colours))

    assert [first(turn) for turn in asyncio.run(story())] == [f"{colour}.png" for colour in colours]


@pytest.mark.slow
def test_two_processes_share_a_store_and_even_a_conversation(store: str, tmp_path: Path) -> None:
    told = script("tests.chat.together", tmp_path / "together", store)
    for name, colours in OWN.items():
        assert told["found"][name] == {colour: f"{colour}.png" for colour in colours}
    assert told["threads"] == sorted(["shared", *(f"{name}-{c}" for name in OWN for c in OWN[name])])
    said = told["shared"]
    assert said[0] == "a blue square" and len(said) == 1 + 2 * SHARED
    for name in OWN:  # every turn once, each speaker's in order
        mine = [message for message in said if f"says {name}" in message]
        assert mine == [f"a blue square, says {name} {number}" for number in range(SHARED)]


def test_collections_in_one_store_are_kept_apart(tmp_path: Path, store: str) -> None:
    first_world, second_world = World(tmp_path / "one" / "w"), World(tmp_path / "two" / "w")

    async def story() -> None:
        async with open_chats(talking(first_world), store=store) as mine:
            await (await mine.create("same")).say("a red square")
            async with open_chats(talking(second_world), store=store) as yours:
                assert await yours.list() == []
                with pytest.raises(BadInput, match="no conversation"):
                    await yours.open("same")
                await (await yours.create("same")).say("a blue square")
                assert [row["last"] for row in await yours.list()] == ["a blue square"]
                await yours.delete("same")
            assert [row["last"] for row in await mine.list()] == ["a red square"]

    asyncio.run(story())


def test_conversations_that_were_not_used_for_long_can_go(world: Any, store: str) -> None:
    async def story() -> None:
        async with open_chats(talking(world), store=store) as chats:
            for name in ("one", "two"):
                await (await chats.create(name)).say("a red square")
            rows = await chats.list()
            assert [row["thread"] for row in rows] == ["two", "one"]  # the last used one first
            assert await chats.prune(1) == []
            assert sorted(await chats.prune(0)) == ["one", "two"]
            assert await chats.list() == []
            with pytest.raises(BadInput, match="no conversation 'one'"):
                await chats.delete("one")
            await chats.create("one")

    asyncio.run(story())


def test_a_conversation_used_again_at_the_last_moment_stays(world: Any, store: str) -> None:
    async def story() -> tuple[Any, list[str]]:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("busy")
            await session.say("a red square")
            async with chats.store.turn("busy"):  # a turn runs while the conversation is found to be old
                pruning = asyncio.create_task(chats.prune(0))
                await asyncio.sleep(0.1)
                key = chats.store.key("busy")
                await chats.store.turns._update(key, "about = ?", '{"at": "9999-01-01T00:00:00+00:00"}')
            return await pruning, [row["thread"] for row in await chats.list()]

    assert asyncio.run(story()) == ([], ["busy"])


def test_a_branch_has_the_turns_that_it_names_or_is_not_begun(
    world: Any, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> list[str]:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("one")
            await session.say("a red square")
            turns, copy = chats.store.turns, chats.store.turns.copy

            async def late(*given: Any) -> bool:
                await session.undo()  # between the look at the conversation and the copy
                return await copy(*given)

            monkeypatch.setattr(turns, "copy", late)
            with pytest.raises(BadInput, match="taken back"):
                await session.branch(1, thread="other")
            return [row["thread"] for row in await chats.list()]

    assert asyncio.run(story()) == ["one"]


def test_locks_of_conversations_are_not_kept(world: Any, store: str) -> None:
    async def story() -> int:
        async with open_chats(talking(world), store=store) as chats:
            for number in range(5):
                await chats.create(f"n{number}")
            return len(chats.store._locks)

    assert asyncio.run(story()) == 0


def test_a_cancelled_wait_leaves_no_lock_behind(world: Any, store: str) -> None:
    """Whenever a turn is cancelled, another connection can hold the conversation afterwards."""

    async def story() -> None:
        async with (
            open_chats(talking(world), store=store) as mine,
            open_chats(talking(world), store=store) as yours,
        ):

            async def hold() -> None:
                async with mine.store.turn("t"):
                    await asyncio.sleep(60)

            for steps in range(12):
                task = asyncio.create_task(hold())
                for _ in range(steps):  # cancelled after so many steps of the event loop
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                async with asyncio.timeout(20), yours.store.turn("t"):
                    pass

    asyncio.run(story())


def test_a_turn_of_another_process_is_waited_for_and_then_told_in_one_line(tmp_path: Path) -> None:
    async def story() -> list[str]:
        order, held, over = list[str](), asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with file_lock(tmp_path, "t"):
                order.append("held")
                held.set()
                await over.wait()
                order.append("let go")

        holder = asyncio.create_task(hold())
        await held.wait()
        with pytest.raises(BackendUnavailable, match="conversation 't'; try again") as caught:
            async with file_lock(tmp_path, "t", timeout=0.1):
                order.append("never")
        assert "\n" not in str(caught.value)
        over.set()
        async with file_lock(tmp_path, "t", timeout=30):
            order.append("mine")
        await holder
        return order

    assert asyncio.run(story()) == ["held", "let go", "mine"]

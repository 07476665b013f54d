"""How conversations are called in a list, and where branches stand in it."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.chat import Chats
from imagescope_agent.chat.session import check_name
from imagescope_agent.chat.titles import branch_name, parent_of, titled
from imagescope_agent.chat.user_scope import UserChats
from imagescope_agent.settings import Settings
from tests.chat.talk import talking

NOON = "2020-02-03T12:00:00+00:00"


def row(thread: str, first: str, last: str, turns: int = 2) -> dict[str, Any]:
    return {"thread": thread, "first": first, "last": last, "turns": turns, "at": NOON}


def test_a_branch_stands_below_what_it_left() -> None:
    rows = [
        row("b.b123456", "a boat", "at night"),
        row("a", "a car", "a red one", 1),
        row("b.b123456.babcdef", "a boat", "by day"),
        row("b", "a  boat\n", "in a storm"),
        row("v1.2", "x" * 90, ""),
        row("gone.b000000", "a fish", "a blue one"),
    ]
    titles = [(title.split(" · ")[:2], thread) for title, thread in titled(rows)]
    assert titles == [
        (["a car", "1 turn"], "a"),
        (["a boat", "2 turns"], "b"),
        (["↳ branch: at night", "2 turns"], "b.b123456"),
        (["\u2003↳ branch: by day", "2 turns"], "b.b123456.babcdef"),
        (["x" * 37 + "...", "2 turns"], "v1.2"),
        (["↳ branch: a fish", "2 turns"], "gone.b000000"),
    ]
    assert all(title.endswith("03 Feb 2020") for title, _ in titled(rows))
    kept = {**row("c", "a car", "a blue one"), "parent": {"thread": "a", "turn": 1}}
    assert [thread for _, thread in titled([kept, *rows])][:2] == ["a", "c"], (
        "told by what was kept, not by names"
    )


def test_a_branch_of_any_depth_has_a_name() -> None:
    thread = "a" * 12
    for _ in range(20):
        new = branch_name(thread)
        assert check_name(new) == new != thread and new.startswith("a" * 12)
        assert parent_of(new) == thread or len(new) == 64
        thread = new
    assert parent_of("v1.2") is None and parent_of("a.b12345") is None


def test_the_list_knows_first_messages_and_branches(world: Any) -> None:
    async def story() -> None:
        chats = Chats(talking(world), InMemorySaver(), Settings())
        session = await chats.create("mine")
        await session.say("a red square")
        branch = await UserChats(chats, None).branch(session, None)
        await branch.say("no, a blue one")
        rows = {row["thread"]: row for row in await chats.list()}
        assert parent_of(branch.thread) == "mine" and rows[branch.thread]["first"] == "a red square"
        assert [thread for _, thread in titled(list(rows.values()))] == ["mine", branch.thread]

    asyncio.run(story())

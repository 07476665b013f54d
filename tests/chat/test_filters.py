"""Filters in a conversation: given as a command or in words, standing, shown, undone and removed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from imagescope_agent.chat import Chats, open_chats
from imagescope_agent.chat.web import html
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.chat.filter_message import FilterMessage
from imagescope_agent.retrieval.collection import FolderCollection
from tests.chat.talk import talking, think
from tests.retrieval.metadata.fields import index

OWN = {"red": "Ann", "orange": "Ann", "blue": "Bo", "purple": "Bo"}


def play(services: Any, story: Callable[[Chats], Awaitable[Any]], **options: Any) -> Any:
    async def played() -> Any:
        async with open_chats(services, **options) as chats:
            return await story(chats)

    return asyncio.run(played())


def names(turn: Any) -> set[str]:
    return {hit["id"] for hit in turn["results"]}


def filtering(answers: dict[str, Any]) -> Callable[[Any], str]:
    """A model that holds a conversation, and answers about filters by what the message holds."""

    def reply(asked: Any) -> str:
        if (asked.options or {}).get("response_format") != "FilterAnswer":
            return think(asked)
        message = asked.text.rpartition("<message>")[2].partition("</message>")[0]
        return json.dumps(
            next((told for word, told in answers.items() if word in message), {"change": "keep"})
        )

    return reply


@pytest.fixture
def owned(world: Any) -> Any:
    """The coloured pictures, some of which have an owner."""
    rows = [
        json.dumps({"file_name": f"{name}.png", "owner": owner, "shot by": owner})
        for name, owner in OWN.items()
    ]
    (world.folder / "metadata.jsonl").write_text("\n".join(rows))
    index(world.folder)
    world.collection = FolderCollection.open(world.folder)
    return world


def test_a_command_sets_a_filter_that_stands_until_it_is_removed(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a red square")
        turn: Any = await session.say("/where name like 'b%'")
        assert names(turn) == {"black.png", "blue.png"} and turn["where"] == "name like 'b%'"
        assert turn["request"] == "a red square" and not [
            each for each in turn["usage"] if each["role"] == "talker"
        ]
        turn = await session.say("no, a blue one")
        assert names(turn) == {"black.png", "blue.png"} and turn["results"][0]["id"] == "blue.png"
        await session.undo()
        await session.undo()
        assert (await session.state())["where"] == ""
        turn = await session.say("/where name = 'red.png'")
        branch = await session.branch()
        turn = await branch.say("/where")
        assert len(turn["results"]) == 8 and "where" not in turn
        assert (await session.state())["where"] == "name = 'red.png'", "the branch shares nothing"

    play(talking(world), story)


def test_words_may_stand_below_a_filter(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        with pytest.raises(BadInput, match="nothing is looked for yet"):
            await session.say("/where name like 'b%'")
        turn: Any = await session.say("/where name like 'b%'\na blue square")
        assert names(turn) == {"black.png", "blue.png"} and turn["request"] == "a blue square"

    play(talking(world), story)


@pytest.mark.parametrize("message", ["/where owner = 'Ann'", "/where name = ", "/where width like 'x'"])
def test_an_unusable_filter_changes_nothing(world: Any, message: str) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a red square")
        with pytest.raises(BadInput):
            await session.say(message)
        state = await session.state()
        assert (state["where"], len(state["turns"]), await session.pending()) == ("", 1, None)

    play(talking(world), story)


def test_nothing_left_is_told_and_the_filter_can_be_removed(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a red square")
        turn: Any = await session.say("/where width > 1000")
        assert not turn["results"] and any(note["kind"] == "unmatched" for note in turn["notes"])
        page = html.gallery(turn, lambda name: "")
        assert "width &gt; 1000" in page and 'data-say="/where"' in page
        turn = await session.say("/where")
        assert len(turn["results"]) == 8

    play(talking(world), story)


def test_the_settings_filter_every_conversation(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn: Any = await session.say("a red square")
        assert names(turn) == {"black.png", "blue.png", "red.png"}
        turn = await session.say("/where width = 32 and name != 'red.png'")
        assert names(turn) == {"black.png", "blue.png"}

    play(talking(world), story, where="name like 'b%' or name = 'red.png'")
    with pytest.raises(BadInput, match="no field 'owner'"):
        play(talking(world), story, where="owner = 'Ann'")


def test_a_model_makes_a_filter_of_what_is_said(owned: Any) -> None:
    answers = {
        "from Ann": {"change": "set", "filter": "owner = 'Ann'"},
        "anybody": {"change": "remove", "filter": ""},
    }
    asked: list[str] = []

    def reply(question: Any) -> str:
        if (question.options or {}).get("response_format") == "FilterAnswer":
            asked.append(question.text)
        return filtering(answers)(question)

    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn: Any = await session.say("a red square, only from Ann")
        assert names(turn) == {"red.png", "orange.png"} and turn["where"] == "owner = 'Ann'"
        assert "- `shot by`: text" in asked[0]
        assert "owner: text, such as 'Ann', 'Bo'" in asked[0] and "Today is 20" in asked[0]
        turn = await session.say("no, a blue one")
        assert names(turn) == {"red.png", "orange.png"} and "<filter>owner = 'Ann'</filter>" in asked[1]
        count = len(asked)
        turn = await session.say("/like 1")
        assert len(asked) == count, "a command is not interpreted"
        turn = await session.say("no, yellow, by anybody")
        assert len(turn["results"]) == 8 and "where" not in turn

    play(talking(owned, reasoner=owned.role("reasoner", reply)), story, clarify="never")


@pytest.mark.parametrize("bad", ["painter = 'Ann'", "owner = = 'Ann'", ""])
def test_a_filter_of_a_model_is_checked_and_its_failure_told(owned: Any, bad: str) -> None:
    reply = filtering({"from Ann": {"change": "set", "filter": bad}})

    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn: Any = await session.say("a red square, only from Ann")
        assert len(turn["results"]) == 8 and "where" not in turn
        told = [note for note in turn["notes"] if note["step"] == "filter"]
        assert [note["kind"] for note in told] == ["retried", "unreadable"]

    play(talking(owned, reasoner=owned.role("reasoner", reply)), story, clarify="never")


def test_no_model_is_asked_where_fields_say_nothing(world: Any) -> None:
    services = talking(world)

    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a red square")

    play(services, story)
    formats = [(asked.options or {}).get("response_format") for asked in services.talker.model.asked]
    assert formats and "FilterAnswer" not in formats


def test_a_prompt_set_may_leave_the_step_out(owned: Any) -> None:
    assert FilterMessage(owned.role("talker"), owned.collection).asked
    mini = type(owned.role("talker"))("talker", owned.role("talker").model, prompt_set="mini")
    assert not FilterMessage(mini, owned.collection).asked

"""Filters in a conversation: given as a command or in words, standing, shown, undone and removed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.chat import Chats, open_chats
from imagescope_agent.chat.web import html
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import ScriptedScorer
from imagescope_agent.nodes.chat.filter_message import NO_FIELDS, WHAT, FilterMessage
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.settings import Settings
from imagescope_agent.state import new_conversation, new_turn
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


def acting(world: Any, answers: dict[str, Any]) -> Any:
    """Models that hold a conversation, filter by `answers`, and take parts with "only" or "any" for limits."""

    def weigh(asked: Any) -> list[float]:
        part = asked.text.partition("<part>")[2].partition("</part>")[0]
        return [
            float(label == ("J" if "only" in part or "any" in part else "B")) + 1e-3 for label in "ABCDEFGHJ"
        ]

    services = talking(world, reasoner=world.role("reasoner", filtering(answers)))
    return replace(services, classifier=Role("classifier", ScriptedScorer(weigh)))


def test_words_that_limit_are_no_wish(owned: Any) -> None:
    answers = {
        "Bo": {"change": "add", "words": "only from Bo", "filter": "owner = 'bo'"},
        "Ann": {"change": "add", "words": "owner Ann", "filter": "owner = 'Ann'"},
        "any owner": {"change": "remove", "words": "any owner", "filter": "owner"},
    }
    folded: list[str] = []

    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn: Any = await session.say("a red square")
        before = await session.state()
        turn = await session.say("only from Bo")
        after = await session.state()
        assert names(turn) == {"blue.png", "purple.png"} and turn["where"] == "owner = 'Bo'"
        assert after["facts"] == before["facts"] and after["request"] == before["request"]
        assert not [entry for entry in turn["usage"] if entry["step"] == "fold"]
        turn = await session.say("no, a blue one, owner Ann")
        folded.extend(fact["text"] for fact in (await session.state())["facts"])
        assert turn["where"] == "owner = 'Ann'" and names(turn) == {"red.png", "orange.png"}
        turn = await session.say("any owner")
        assert "where" not in turn and len(turn["results"]) == 8
        await session.undo()
        assert (await session.state())["where"] == "owner = 'Ann'"

    play(acting(owned, answers), story, clarify="never")
    assert "it is blue" in folded and not [text for text in folded if "Ann" in text]


def test_a_limit_that_is_not_understood_changes_nothing_and_is_told(owned: Any) -> None:
    answers = {"Bo": {"change": "add", "words": "only from Bo", "filter": "owner = 'Zoe'"}}

    async def story(chats: Chats) -> None:
        session = await chats.create()
        first: Any = await session.say("a red square")
        for message in ("only from Bo", "only the old ones"):
            turn: Any = await session.say(message)
            assert turn["results"] == first["results"] and "where" not in turn
            assert any("did not understand" in remark for remark in turn["remarks"])
            assert not [entry for entry in turn["usage"] if entry["step"] in ("fold", "verify")]

    play(acting(owned, answers), story, clarify="never")


def test_a_limit_alone_may_come_first(owned: Any) -> None:
    answers = {"Bo": {"change": "add", "words": "only from Bo", "filter": "owner = 'Bo'"}}

    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn: Any = await session.say("only from Bo")
        assert turn["remarks"] == [WHAT] and turn["where"] == "owner = 'Bo'" and not turn["results"]
        turn = await session.say("a red square")
        assert names(turn) == {"blue.png", "purple.png"} and turn["request"] == "a red square"

    play(acting(owned, answers), story, clarify="never")


def test_without_fields_a_limit_is_told_to_be_none(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        first: Any = await session.say("a red square")
        turn: Any = await session.say("only from last summer")
        assert turn["results"] == first["results"] and NO_FIELDS in turn["remarks"]

    play(acting(world, {}), story, clarify="never")


def choosing(world: Any, meant: dict[str, str]) -> Any:
    """Models of whom the talker writes no filter; the classifier labels possible limits by `meant`, others with G."""

    def weigh(asked: Any) -> list[float]:
        limit = asked.text.partition("Limit: ")[2].partition("\n")[0]
        chosen.append(limit)
        return [float(label == meant.get(limit, "G")) + 1e-3 for label in "ABCDEFG"]

    chosen: list[str] = []
    services = talking(world)
    talker = Role("talker", services.talker.model, prompt_set="mini")
    limiter = Role("limiter", ScriptedScorer(weigh), prompt_set="mini")
    return replace(services, talker=talker, limiter=limiter), chosen


def test_a_classifier_chooses_among_what_the_message_names(owned: Any) -> None:
    services, chosen = choosing(
        owned, {"owner: Bo": "A", "owner: Ann": "B", "without owner": "G", "without any": "A"}
    )
    filter_ = FilterMessage(services.talker, owned.collection, services.limiter)

    async def limit(message: str, standing: str = "") -> Any:
        acts = [{"text": message, "act": "wish"}]
        given = {"message": message, "query": message, "acts": acts, "where": standing, "request": "a square"}
        state: Any = {**new_conversation(), **new_turn(), **given, "intent": {"full": "a square"}}
        runtime: Any = SimpleNamespace(context=Settings())
        return await filter_(state, runtime)

    async def story() -> None:
        found = await limit("a red square from Bo")
        assert found["where"] == "owner = 'Bo'" and found["query"] == "a red square"
        assert chosen == ["owner: Bo", "shot by: Bo"]
        found = await limit("not Ann's")
        assert found["where"] == "owner != 'Ann'" and found["acts"] == [
            {"text": "not Ann's", "act": "filter"}
        ]
        assert await limit("a red square") == {}, "nothing that is named is asked about"
        found = await limit("everything again", standing="owner = 'Bo'")
        assert found["where"] == "" and chosen[-2:] == ["without owner", "without any"]

    asyncio.run(story())

"""Words of a message that limit the search: a filter, and no wish."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

from imagescope_agent.chat import Chats
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import ScriptedScorer
from imagescope_agent.nodes.chat.choose_limit import choose_limit
from imagescope_agent.nodes.chat.filter_message import NO_FIELDS, WHAT, FilterMessage
from imagescope_agent.nodes.chat.language.limits import Message, Values
from imagescope_agent.prompting import load_prompt
from imagescope_agent.settings import Settings
from imagescope_agent.state import new_conversation, new_turn
from tests.chat.talk import talking
from tests.chat.test_filters import filtering, names, owned, play

__all__ = ["owned"]


def acting(world: Any, answers: dict[str, Any]) -> Any:
    """Models that hold a conversation, filter by `answers`, and take parts with "only" or "any" for limits."""

    def weigh(asked: Any) -> list[float]:
        part = asked.text.partition("<part>")[2].partition("</part>")[0]
        return [
            float(label == ("J" if "only" in part or "any" in part else "B")) + 1e-3 for label in "ABCDEFGHJK"
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
        asked = len(chosen)
        for message in ("show more", "without any trees", "any colour will do"):
            assert await limit(message, standing="owner = 'Bo'") == {} and len(chosen) == asked
        assert "where" not in await limit("whoever the owners are", standing="owner = 'Bo'")
        assert chosen[asked:] == ["without owner"], "a limit is lifted by what names it"

    asyncio.run(story())


def test_what_cannot_be_compared_is_left_out_with_a_note(owned: Any) -> None:
    services, chosen = choosing(owned, {"folder: 1 2": "A", "folder: 1-2": "A"})
    limiter, prompt = services.limiter, load_prompt("limit", prompt_set="mini")
    assert services.limiter is not None
    message = Message("only from folder 1 2", {"folder": Values("text", ["1-2"])}, date.today())
    found = asyncio.run(choose_limit(limiter, prompt, message, ""))
    assert chosen and found.where is None and [each["kind"] for each in found.notes] == ["fallback"]

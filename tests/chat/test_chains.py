"""The chain of thought of a turn: it decides what is retrieved, and page, terminal and export show it in its order."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.chat import Chats
from imagescope_agent.chat.web import html
from imagescope_agent.commands.chat import describe
from tests.chat.playing import first, play
from tests.chat.talk import talking
from tests.graphs.reasoning_colours import ReasoningColours

BLUE = "<caption>a blank image<steps>Addition: it is <b>blue</b>\nRetention: it is square<conclusion>a blue square"


def told(world: Any, *messages: Any, reply: str = BLUE, threshold: float = 0.0, **settings: Any) -> list[Any]:
    """The turns of a conversation whose embedder reasons, and what it was asked."""
    world.embedder = model = ReasoningColours(reply, threshold)

    async def story(chats: Chats) -> list[Any]:
        session = await chats.create()
        for each in messages:
            await session.say(each)
        return [(await session.export())["turns"], model]

    return list(play(talking(world), story, top_k=0, clarify="never", **settings))


def test_the_chain_decides_what_a_turn_retrieves_and_is_shown_in_order(world: Any) -> None:
    (turn,), model = told(world, "a red square", reasoning="full")
    assert first(turn) == "blue.png"  # the chain's conclusion, not the words
    assert model.chains == [BLUE] and model.chat_model.asked[0].images == ()
    page, lines = html.gallery(turn, lambda name: ""), "\n".join(describe(turn))
    for text, blue in ((page, "&lt;b&gt;blue&lt;/b&gt;"), (lines, "<b>blue</b>")):
        parts = ["a blank image", f"Addition: it is {blue}", "Retention: it is square", "a blue square"]
        places = [text.index(part) for part in parts]
        assert places == sorted(places) and places[-1] < text.index("blue.png")
    assert "a red square" in turn["request"]


def test_a_later_turn_reasons_about_all_that_is_wanted(world: Any) -> None:
    turns, model = told(world, "a red square", "also warm", reasoning="full")
    assert len(turns) == 2 and all(turn["chain"]["conclusion"] == "a blue square" for turn in turns)
    assert "red" in model.chat_model.asked[-1].text and "warm" in model.chat_model.asked[-1].text


@pytest.mark.parametrize(("threshold", "written"), [(0.0, 0), (2.0, 1)])
def test_auto_reasons_where_the_first_look_does_not_decide(
    world: Any, threshold: float, written: int
) -> None:
    (turn,), model = told(world, "a red square", threshold=threshold)
    assert len(model.chat_model.asked) == written and ("chain" in turn) is bool(written)
    assert first(turn) == ("blue.png" if written else "red.png")


def test_nothing_is_written_where_it_shall_be_fast_or_is_no_chain(world: Any) -> None:
    (turn,), model = told(world, "a red square", threshold=2.0, reasoning="fast")
    assert model.chat_model.asked == [] and first(turn) == "red.png" and "is-chain" not in page_of(turn)
    (turn,), model = told(world, "a red square", reply="no chain", reasoning="full")
    assert first(turn) == "red.png" and "chain" not in turn
    assert [each["kind"] for each in turn["notes"] if each["step"] == "reason"] == ["retried", "unreadable"]


def test_where_the_roles_write_it_what_they_understood_is_the_chain(world: Any) -> None:
    turns, model = told(world, "a red square", "also warm", reasoning="full", chain_writer="roles")
    assert model.chat_model.asked == [] and len(model.chains) == 2 and first(turns[0]) == "red.png"
    assert [turn["chain"]["reasoning"] for turn in turns] == [
        "Addition: it is red",
        "Addition: it is red\nAddition: it is warm",
    ]
    assert "warm" in turns[1]["chain"]["conclusion"] and turns[0]["chain"]["caption"] == "a blank image"


def page_of(turn: Any) -> str:
    return html.gallery(turn, lambda name: "")


def test_that_a_chain_sees_only_the_first_of_several_references_is_told(world: Any) -> None:
    world.embedder = ReasoningColours(BLUE, 0.0)

    async def story(chats: Chats) -> list[Any]:
        session = await chats.create()
        return [await session.say("both, but red", images=["red.png", "blue.png"])]

    (turn,) = play(talking(world), story, top_k=0, clarify="never", reasoning="full")
    assert any(each["step"] == "embed" and "only the first of 2" in each["detail"] for each in turn["notes"])

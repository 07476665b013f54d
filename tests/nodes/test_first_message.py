"""A first message: read in known words, held to what it says, with what the model passed over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imagescope_agent.errors import NoModel
from imagescope_agent.nodes.chat.described_target import described
from imagescope_agent.nodes.chat.first_message import UnderstandFirst
from imagescope_agent.nodes.chat.language.synonyms import in_known_words
from imagescope_agent.prompting import request_text
from imagescope_agent.state import State
from tests.nodes.test_grounded_update import WORDS
from tests.nodes.test_own_way_of_saying import Learnt


def test_a_first_message_is_understood_in_the_words_of_the_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    async def understand(self: UnderstandFirst, state: State, runtime: Any, again: str = "") -> None:
        asked.append(state["query"])
        raise NoModel("this is enough")

    monkeypatch.setattr("imagescope_agent.nodes.chat.first_message.UnderstandJointly.__call__", understand)
    monkeypatch.setattr("imagescope_agent.nodes.chat.first_message.vocabulary_of", lambda images: WORDS)
    node: Any = UnderstandFirst.__new__(UnderstandFirst)
    node.embedder, node.images = Learnt(), None
    state: Any = {"query": "a lamp", "acts": []}
    with pytest.raises(NoModel):
        asyncio.run(node(state, None))
    assert asked == ["a lantern"]


def test_a_place_ends_where_another_phrase_begins() -> None:
    class Lenient(Learnt):
        groups = (("after hours", "at midnight", "after hours and no kettle"),)

    state: Any = {"query": "a wagon after hours and no kettle", "acts": []}
    embedder: Any = Lenient()
    assert in_known_words(state, WORDS, embedder)["query"] == "a wagon at midnight and no kettle"


def first(steps: list[Any], monkeypatch: pytest.MonkeyPatch, full: str = "x") -> Any:
    """The node, where the reasoner finds these steps in the first message and describes it as `full`."""

    async def understand(self: UnderstandFirst, state: State, runtime: Any, again: str = "") -> Any:
        return {"intent": {"steps": steps, "core": full, "enhanced": full, "full": full}, "notes": []}

    monkeypatch.setattr("imagescope_agent.nodes.chat.first_message.UnderstandJointly.__call__", understand)
    monkeypatch.setattr("imagescope_agent.nodes.chat.first_message.vocabulary_of", lambda images: WORDS)
    node: Any = UnderstandFirst.__new__(UnderstandFirst)
    node.embedder, node.images = None, None
    return node


def said(query: str) -> Any:
    """The state with a first message."""
    return {"query": query, "request": query, "acts": [], "reference": None, "reference_caption": ""}


@pytest.mark.parametrize(
    ("query", "steps", "wanted"),
    [
        ("lookin for a wagon, it was grey", [("Removal", "a grey wagon")], [("Addition", "a grey wagon")]),
        ("a wagon and no kettle", [("Addition", "a wagon"), ("Removal", "a kettle")], None),
        ("no, something grey", [("Addition", "a grey kettle")], [("Addition", "something grey")]),
        (
            "a tall wagon, small grey kettle",
            [("Addition", "a tall grey wagon"), ("Addition", "a small grey kettle")],
            [("Addition", "a small grey kettle"), ("Addition", "a tall wagon")],
        ),
        ("I dreamt of a tall wagon", [("Addition", "a lamp")], [("Addition", "a tall wagon")]),
    ],
)
def test_a_first_message_wants_what_it_does_not_exclude(
    query: str,
    steps: list[tuple[str, str]],
    wanted: list[tuple[str, str]] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = first([{"type": kind, "text": text} for kind, text in steps], monkeypatch)
    state = said(query)
    update = asyncio.run(node(state, None))
    assert [(step["type"], step["text"]) for step in update["intent"]["steps"]] == (wanted or steps)
    assert update["request"] == described(update["intent"]["steps"])  # "x" says what nobody said
    shown = asyncio.run(node({**state, "reference": "a.png", "reference_caption": query}, None))
    assert shown["request"] == request_text(shown["intent"]["steps"])
    several = {**state, "reference": "a.png", "references": ["a.png", "b.png"], "reference_caption": query}
    assert asyncio.run(node(several, None))["request"] == query  # steps do not say which picture is meant


@pytest.mark.parametrize(
    ("full", "request_"),
    [
        ("a wagon with a kettle", "a wagon with a kettle"),
        ("a wagon with a kettle on a beach at sunset", "a wagon and a kettle"),
        ("a wagon", "a wagon and a kettle"),
    ],
)
def test_the_request_says_all_that_was_said_and_no_more(
    full: str, request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{"type": "Addition", "text": text} for text in ("a wagon", "a kettle")]
    node = first(steps, monkeypatch, full)
    assert asyncio.run(node(said("show me a wagon with a kettle"), None))["request"] == request_


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("a trumpet in the harbour", ['I did not understand "trumpet".']),
        ("a sketch of a wagon in the harbour", []),
        ("A sketch of a trumpet in the harbour", ['I did not understand "trumpet".']),
        ("a wagon in the harbour", []),
        ("a nice picture of a wagon in the harbour", []),
        ("a black and white photo of a wagon in the harbour", []),
    ],
)
def test_what_a_first_message_names_and_nothing_takes_up_is_told(
    query: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = first([{"type": "Addition", "text": "the scene in the harbour"}], monkeypatch)
    assert asyncio.run(node(said(query), None)).get("remarks", []) == told


def test_the_same_words_about_two_references_are_two_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [{"type": "Retention", "text": "the wagon", "reference": number} for number in (1, 2)]
    pictures = {"reference": "a.png", "references": ["a.png", "b.png"], "reference_caption": "a wagon"}
    update = asyncio.run(first(both, monkeypatch)({**said("the wagon of both"), **pictures}, None))
    assert [step["reference"] for step in update["intent"]["steps"]] == [1, 2]

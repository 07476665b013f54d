"""What a part of a message does, where its words say it: it asks back, tells of something else, or states something."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.rewording import in_known_words_of
from imagescope_agent.nodes.chat.pending_question import is_reply
from imagescope_agent.nodes.chat.read_message import parts_of
from imagescope_agent.nodes.chat.statements import asks_back
from tests.nodes.test_grounded_update import WORDS, after, fact, grounded
from tests.nodes.test_own_way_of_saying import Learnt


def row(act: str) -> list[float]:
    return [0.91 if each == act else 0.01 for each in ACTS]


def read(part: str, act: str, *, first: bool = False) -> str:
    state: Any = {"facts": [] if first else [fact("a wagon")], "question": None}
    state["intent"] = {"full": "" if first else "a wagon"}
    return parts_of(part, row(act), state, WORDS, limits=False)[0]["act"]


@pytest.mark.parametrize(
    ("part", "is_one"),
    [
        ("is it important how tall the wagon is?", True),
        ("does it matter if the wagon was grey?", True),
        ("hm, why do you ask about the wagon?", True),
        ("why not show me a wagon?", False),
        ("does it have a wagon?", False),
        ("what do you mean by a wagon?", True),
    ],
)
def test_a_question_back_wishes_nothing(part: str, is_one: bool) -> None:
    assert asks_back(part) == is_one
    assert (read(part, "wish") == "aside") == is_one


@pytest.mark.parametrize(
    ("part", "act"),
    [
        ("thinking of it the wagon was turquoise", "correction"),
        ("the kettle sits left of the wagon", "correction"),
        ("the grey wagon was a mistake", "withdrawal"),
        ("the wagon is grey, forget that", "withdrawal"),
        ("no grey wagon left of the kettle", "withdrawal"),
    ],
)
def test_what_states_something_takes_nothing_back(part: str, act: str) -> None:
    assert read(part, "withdrawal") == act


def test_what_is_to_be_deleted_is_not_wished() -> None:
    said = "delete the kettle"
    found = grounded(said, [fact("a wagon")], ("wish", said), steps=[("Addition", "a kettle")])
    assert after(found, [fact("a wagon")]) == [("Addition", "a wagon"), ("Removal", "a kettle")]


def test_a_property_alone_is_no_thing_where_nothing_stands() -> None:
    class Grey(Learnt):
        groups = (("grey", "a grey wagon"),)

    embedder: Any = Grey()
    embedder.domain.words = embedder.domain.words | {"grey"}
    assert asyncio.run(Grounding(["grey, please"], embedder).holds("a grey wagon"))
    assert not asyncio.run(Grounding(["grey, please"], embedder, stands=False).holds("a grey wagon"))


def test_what_a_part_does_is_read_with_single_words_as_they_are_meant_and_not_with_most() -> None:
    said = asyncio.run(in_known_words_of("is the wagon rather gery?", WORDS, None))
    assert said == "is the wagon rather grey?"
    assert asyncio.run(in_known_words_of("gery wgaon nacht", WORDS, None)) == "gery wgaon nacht"


def test_an_exclamation_wishes_nothing() -> None:
    assert read("wow, what a funny week", "wish") == "aside"
    assert read("what a wagon", "wish") == "wish" and read("a week on the moor", "wish") == "wish"


def test_nothing_can_be_taken_back_by_a_first_message() -> None:
    assert read("my wagon broke down this morning", "withdrawal", first=True) == "aside"
    assert read("no wagon at all", "withdrawal", first=True) == "withdrawal"
    assert read("my wagon broke down this morning", "withdrawal") == "withdrawal"


def test_a_bare_no_answers_no_question_of_where() -> None:
    where: Any = {"text": "Where is the scene?", "asks": "Where is the scene?"}
    closed: Any = {"text": "Is there a kettle?", "asks": "Is there a kettle?"}
    assert not is_reply("ugh, no", where, WORDS) and is_reply("ugh, no", closed, WORDS)

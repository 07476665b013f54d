"""The question that helps most: what answers tell in bits, predicates in the same words, and when enough is known."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescope_agent.nodes.chat.belief import DOUBT, answers, beliefs, entropy, information
from imagescope_agent.nodes.chat.clarifying_question import (
    AnswerTurn,
    Word,
    best_question,
    likely,
    named,
    needs_questions,
    questions,
    unasked,
)
from imagescope_agent.nodes.chat.first_message import picture_alone
from imagescope_agent.settings import Settings
from imagescope_agent.state import new_conversation, new_turn

NEWER = ("anchors", "excluded", "references", "unlike", "reference_captions")
HALF = {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}


def board(**given: Any) -> Any:
    return {
        "ranking": list(HALF),
        "predicates": [],
        "verdicts": {},
        "pool": [],
        "wordings": {},
        "asked": [],
        "turns": [],
        "notes": [],
        "usage": [],
        "request": "a star",
        **given,
    }


def changed(state: Any, **given: Any) -> Any:
    return {**state, **given}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_the_chances_of_answers_sum_to_one_and_follow_the_verdicts(verdicts: list[float]) -> None:
    found = answers(verdicts)
    assert len(found) == len(verdicts) + 1 and sum(found) == pytest.approx(1.0)
    order = sorted(range(len(verdicts)), key=lambda n: min(max(verdicts[n], DOUBT), 1 - DOUBT))
    assert [found[n] for n in order] == sorted(found[:-1])


def test_information_by_hand() -> None:
    sure = entropy([DOUBT, 1 - DOUBT])
    verdicts = {"a": {"q": 1.0}, "b": {"q": 1.0}, "c": {"q": 0.0}, "d": {"q": 0.0}}
    assert information(["q"], HALF, verdicts) == pytest.approx(1.0 - sure)
    assert information(["q"], HALF, {}) == pytest.approx(0.0)
    colours = {name: {f"is {other}": float(name == other) for other in "abc"} for name in HALF}
    together = information(["is a", "is b", "is c"], HALF, colours)
    assert together > information(["is a"], HALF, colours) > 0
    assert together <= math.log2(4)


def test_predicates_in_the_same_words_are_one_question_and_no_words_are_asked_twice() -> None:
    wordings = {
        "Is it red?": "What colour is it?",
        "Is it blue?": "What colour is it?",
        "Is it big?": "Is it big?",
    }
    state = board(pool=["Is it red?", "Is it big?", "Is it blue?", "Is it old?"], wordings=wordings)
    assert questions(state) == {
        "What colour is it?": ["Is it red?", "Is it blue?"],
        "Is it big?": ["Is it big?"],
        "Is it old?": ["Is it old?"],  # not worded: in its own words
    }
    asked = changed(state, asked=["Is it red?"])
    assert unasked(asked) == [
        "Is it big?",
        "Is it blue?",
        "Is it old?",
    ] and "What colour is it?" not in questions(asked)
    wanted = changed(state, predicates=[{"question": "Is it blue?", "expected": "Yes"}])
    assert list(questions(wanted)) == ["Is it big?", "Is it old?"]


@pytest.mark.parametrize(
    ("words", "predicate", "asked"),
    [
        ("What colour is it?", "Is the boat blue?", "What colour is the boat?"),
        ("Where is it?", "Is there a boat on a beach?", "Is there a boat on a beach?"),
        ("Where is the scene?", "Is the scene on a beach?", "Where is the scene?"),
    ],
)
def test_a_question_names_its_thing_or_asks_the_predicate_itself(
    words: str, predicate: str, asked: str
) -> None:
    assert named(words, predicate) == asked


def test_the_question_that_tells_most_is_chosen_and_more_are_sought_while_none_tells_enough() -> None:
    looks = {name: {f"Is it {other}?": float(name == other) for other in "abc"} for name in HALF}
    halves = {name: {**looks[name], "Is it first?": float(name in "ab")} for name in HALF}
    wordings = {f"Is it {name}?": "Which is it?" for name in "abc"}
    state = board(pool=["Is it first?", *wordings], wordings=wordings, verdicts=halves)
    chosen: Any = best_question(state, Settings())
    assert chosen["text"] == "Which is it?" and chosen["asks"] == "Is it a?" and chosen["information"] > 0.4
    assert not needs_questions(state, Settings())
    assert needs_questions(changed(state, asked=[*wordings, "Is it first?"]), Settings())
    assert not needs_questions(state, Settings(clarify="never"))
    assert best_question(changed(state, verdicts={}), Settings()) is None
    random: Any = best_question(changed(state, verdicts={}), Settings(clarify="random"))
    assert random["text"] in ("Is it first?", "Which is it?")


def test_only_likely_images_are_looked_at_and_their_belief_sums_to_one() -> None:
    predicates: Any = [
        {"question": "Is it red?", "expected": "Yes"},
        {"question": "Is it big?", "expected": "No"},
    ]
    verdicts = {"b": {"Is it red?": 1.0, "Is it big?": 0.0}, "a": {"Is it red?": 0.0, "Is it big?": 1.0}}
    found = likely(board(predicates=predicates, verdicts=verdicts))
    assert list(found) == ["b", "c", "d"] and sum(found.values()) == pytest.approx(1.0)
    assert max(found, key=lambda name: found[name]) == "b"
    assert beliefs(["a", "b"], [], {})["a"] > 0.5


def test_new_proposals_are_worded_once_as_many_as_the_budget_allows(world: Any) -> None:
    seen: list[str] = []

    def word(asked: Any) -> str:
        seen.append(asked.text)
        return "What colour is it?"

    node = Word(world.role("reasoner", word))
    state = board(pool=["Is it red?", "Is it blue?", "Is it old?"], wordings={"Is it old?": "How old is it?"})
    runtime: Any = SimpleNamespace(context=Settings())
    update = asyncio.run(node(state, runtime))
    assert update["wordings"] == {
        "Is it red?": "What colour is it?", "Is it blue?": "What colour is it?", "Is it old?": "How old is it?",
    }  # fmt: skip
    assert len(seen) == 2 and update["usage"][0]["calls"] == 2
    assert asyncio.run(node(changed(state, **update), runtime)) == {}
    short: Any = SimpleNamespace(context=Settings(budget=1))
    assert list(asyncio.run(node(state, short))["wordings"]) == ["Is it old?", "Is it red?"]


def test_a_turn_that_an_older_version_began_is_finished(world: Any) -> None:
    whole = {**new_conversation(), **new_turn(), "query": "", "reference": None, "ranking": ["red.png"]}
    whole |= {"candidates": [{"id": "red.png", "retrieve": 0.5}], "reference_caption": "a"}
    state: Any = {name: value for name, value in whole.items() if name not in NEWER}
    runtime: Any = SimpleNamespace(context=Settings(k=1))
    update = asyncio.run(AnswerTurn(world.collection)(state, runtime))
    assert update["turns"] == 1 and "references" not in update["turn"]
    assert asyncio.run(picture_alone(state))["intent"]["full"] == "a"

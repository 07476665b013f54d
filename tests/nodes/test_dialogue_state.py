"""A conversation's later turns: answers become facts whose predicate is known, new instructions are read in company."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imagescope_agent.nodes.chat.dialogue_state import (
    SHOWN,
    UpdateDialogueState,
    answered_predicate,
    apply_update,
    in_words,
    shown_facts,
)
from imagescope_agent.nodes.chat.new_predicates import VerifyNewFacts, without_context
from imagescope_agent.replies.parsing import FoldAnswer
from imagescope_agent.settings import Settings
from imagescope_agent.state import Fact, Instruction, Predicate, State

BOAT: Predicate = {"question": "Is there a boat?", "expected": "Yes"}
STAR: Predicate = {"question": "Is there a red star?", "expected": "Yes"}
CAR: Predicate = {"question": "Is there a car?", "expected": "Yes"}
LORRY: Predicate = {"question": "Is the car a lorry?", "expected": "Yes"}
CARS: Instruction = {"type": "Addition", "text": "a car"}
STANDING: Fact = {"type": "Addition", "text": "a boat", "predicates": [BOAT]}


def conversation(message: str) -> State:
    grains = {"core": "a boat", "enhanced": "a boat", "full": "a boat at night"}
    question = {"text": "Does it show a red star?", "asks": STAR["question"], "information": 1.0}
    state: Any = {
        "query": message,
        "question": question,
        "facts": [STANDING],
        "intent": {"steps": [], **grains},
        "reference": None,
        "turns": [],
    }
    return cast(State, state)


def reply(**given: Any) -> FoldAnswer:
    new = {"core": "a boat and a star", "enhanced": "a boat and a star", "full": "a boat and a star at night"}
    return FoldAnswer(**{"topic": "same", "answer": "None", "drop": [], "steps": [], **new, **given})


def test_a_plain_answer_is_told_with_its_question_and_becomes_a_fact_with_a_known_predicate() -> None:
    state = conversation("Yes!")
    answered = answered_predicate(state)
    assert answered == STAR and in_words(answered) == "is there a red star? yes"
    update = apply_update(state, reply(steps=[{"type": "Addition", "text": "a red star"}]))
    assert update["facts"] == [
        STANDING,
        {"type": "Addition", "text": "a red star", "predicates": [STAR]},
    ]
    assert [step["text"] for step in update["intent"]["steps"]] == ["a boat", "a red star"]
    assert update["intent"]["full"] == "a boat and a star at night"


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("absolutely.", "Yes"),
        ("that's correct", "Yes"),
        ("of course not!", "No"),
        ("absolutely no idea", None),
    ],
)
def test_an_answer_of_other_words_than_yes_and_no_needs_no_model(message: str, answer: str | None) -> None:
    answered = answered_predicate(conversation(message))
    assert (answered and answered["expected"]) == answer


@pytest.mark.parametrize("topic", ["same", "new"])
def test_no_leaves_the_description_and_a_plain_answer_never_changes_the_topic(topic: str) -> None:
    update = apply_update(conversation("no"), reply(topic=topic))
    assert [fact["text"] for fact in update["facts"]] == ["a boat", "Is there a red star? No"]
    assert update["facts"][1]["type"] == "Removal"
    assert update["intent"]["full"] == "a boat at night"


def test_more_than_an_answer_is_folded_as_it_was_said() -> None:
    state = conversation("no, a green one")
    assert answered_predicate(state) is None
    update = apply_update(state, reply(answer="No", steps=[{"type": "Addition", "text": "a green star"}]))
    steps = [step["text"] for step in update["intent"]["steps"]]
    assert steps == ["a boat", "Is there a red star? No", "a green star"]
    assert update["intent"]["full"] == "a boat and a star at night"


def test_yes_answers_no_question_that_asks_for_several_predicates() -> None:
    state = conversation("yes")
    state["question"] = {
        "text": "What colour is it?",
        "asks": STAR["question"],
        "also": ["Is it blue?"],
        "information": 1.0,
    }
    assert answered_predicate(state) is None
    assert apply_update(state, reply(answer="Yes"))["facts"] == [STANDING]


@pytest.mark.parametrize(
    "found, new, left",
    [
        ([BOAT, CAR], [CARS], [CAR]),
        ([CAR, LORRY], [CARS], [CAR, LORRY]),  # two questions about one new instruction
        (
            [{**BOAT, "question": "Can a boat be seen?"}, CAR],
            [CARS],
            [CAR],
        ),  # the standing fact in other words
        ([CAR], [CARS], [CAR]),  # a model that leaves it out itself
        ([BOAT, {**BOAT, "expected": "No"}], [CARS], [{**BOAT, "expected": "No"}]),  # the newer stays
        ([], [CARS], []),
    ],
)
def test_the_fact_shown_beside_new_instructions_is_not_checked_twice(
    found: list[Predicate], new: list[Instruction], left: list[Predicate]
) -> None:
    assert without_context(found, [STANDING], new) == left
    assert without_context(found, [], new) == found


def test_a_new_instruction_is_shown_after_the_first_standing_fact_and_only_it_is_added(world: Any) -> None:
    shown: list[str] = []

    def check(asked: Any) -> str:
        shown.append(asked.text)
        return json.dumps({"predicates": [BOAT, CAR]})

    star: Fact = {"type": "Addition", "text": "a red star", "predicates": [STAR]}
    lines = ("a boat", "a red star", "a car")
    state: Any = {
        "facts": [STANDING, star],
        "intent": {"steps": [{"type": "Addition", "text": line} for line in lines]},
        "ranking_retrieve": ["red.png"],
        "usage": [],
    }
    runtime: Any = SimpleNamespace(context=Settings())
    update = asyncio.run(VerifyNewFacts(world.role("reasoner", check))(state, runtime))
    assert "Addition: a boat\nAddition: a car\n" in shown[0] and "a red star" not in shown[0]
    assert [fact["predicates"] for fact in update["facts"]] == [[BOAT], [STAR], [CAR]]
    assert update["predicates"] == [BOAT, STAR, CAR]


def test_a_long_conversation_shows_its_latest_facts_and_drops_the_one_that_is_meant(world: Any) -> None:
    gone: list[Fact] = [{"type": "Removal", "text": f"pebble {n}", "predicates": []} for n in range(3)]
    there: list[Fact] = [{"type": "Addition", "text": f"place {n}", "predicates": []} for n in range(SHOWN)]
    facts = [there[0], *gone, *there[1:]]
    assert shown_facts(facts) == [0, *range(4, SHOWN + 3)]  # what is not there goes first
    assert shown_facts([*facts, STANDING]) == [*range(4, SHOWN + 4)]  # then the oldest
    assert shown_facts(gone) == [0, 1, 2]
    shown: list[str] = []

    def fold(asked: Any) -> str:
        shown.append(asked.text)
        return reply(drop=[2, SHOWN + 1]).model_dump_json()

    state: Any = {**conversation("never mind place 1"), "facts": facts, "question": None, "usage": []}
    state["reference_caption"] = "none"
    update = asyncio.run(
        UpdateDialogueState(world.role("reasoner", fold))(
            state, cast(Any, SimpleNamespace(context=Settings()))
        )
    )
    assert "pebble" not in shown[0] and "2. Addition: place 1" in shown[0]
    assert [fact["text"] for fact in update["facts"]] == [
        each["text"] for each in facts if each["text"] != "place 1"
    ]


def test_what_was_not_understood_is_quoted_as_it_was_typed(world: Any) -> None:
    captions = {"one": "a yellow lantern and a small yellow wagon"}
    images: Any = SimpleNamespace(ids=[*captions], caption=captions.__getitem__)
    state: Any = {**conversation("yelow then?"), "question": None, "usage": [], "request": "a boat"}
    state |= {"reference_caption": "none", "acts": [{"text": "yelow then?", "act": "wish"}]}
    talker = world.role("reasoner", lambda asked: reply(core="yellow", full="yellow").model_dump_json())
    runtime = cast(Any, SimpleNamespace(context=Settings()))
    update = asyncio.run(UpdateDialogueState(talker, images=images)(state, runtime))
    assert update["acts"] == [{"text": "yelow then?", "act": "unclear"}] and update["query"] == "a boat"
    assert update["remarks"][:2] == [
        'I read "yelow" as "yellow".',
        'I did not understand "yelow then?".',
    ]

"""What a model makes of a message must be in the message, in its words or in ones that say the same."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from imagescope_agent.nodes.chat.dialogue_state import UpdateDialogueState
from imagescope_agent.nodes.chat.language.grounding import (
    Grounding,
    excludes,
    same_thing_counted,
    substitutes,
)
from imagescope_agent.nodes.chat.new_predicates import VerifyNewFacts
from imagescope_agent.replies.parsing import FoldAnswer
from imagescope_agent.settings import Settings
from imagescope_agent.state import Fact, State

PLAIN = {"core": "a car", "enhanced": "a blue car", "full": "a blue car"}
CAR: Fact = {"type": "Addition", "text": "a blue car", "predicates": []}


class Twins:
    """An embedder to which "a kitten" is "a cat"."""

    weights, dimension = "twins", 2

    def texts(self, texts: list[str]) -> Any:
        return np.array(
            [[1.0, 0.0] if each in ("a kitten", "a cat") else [0.0, 1.0 + 0 * len(each)] for each in texts]
        )


def test_one_is_a_number_where_it_answers_how_many() -> None:
    assert held("exactly one lantern", "one", "How many lanterns are there?")
    assert not held("exactly one lantern", "a green one", "Is there a lantern?")


def held(text: str, *told: str, embedder: Any = None) -> bool:
    return asyncio.run(Grounding(told, embedder).holds(text))


@pytest.mark.parametrize(
    "text, told",
    [
        ("a red lantern", "could you add a red lantern, please"),
        ("two lanterns", "I saw 2 lanterns"),
        ("a blue lantern", "a blu lantren"),
        ("the scene at night", "it is night"),
        ("exactly one lantern", "exactly one lantern"),
    ],
)
def test_the_words_of_a_message_are_its_ground(text: str, told: str) -> None:
    assert held(text, told)


@pytest.mark.parametrize(
    "text, told",
    [
        ("a red lantern", "a lantern"),
        ("exactly six things", "hmm, I do not know"),
        ("exactly two lanterns", "three lanterns"),
        ("a car in the snow", "asdf qwer"),
        ("a goat", "a boat and a coat"),
    ],
)
def test_what_a_message_does_not_have_is_not_grounded(text: str, told: str) -> None:
    assert not held(text, told)


def test_a_word_that_the_embedder_takes_for_the_same_is_grounded() -> None:
    class Apart(Twins):
        def texts(self, texts: list[str]) -> Any:
            return np.eye(len(texts))

    assert held("a cat", "a kitten", embedder=Twins())
    assert not held("a cat", "a kitten", embedder=Apart())


def test_vectors_that_are_alike_ground_no_number_and_no_word_that_describes_nothing() -> None:
    class Alike(Twins):
        def texts(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 1))

    assert not held("three lanterns", "four lanterns", embedder=Alike())
    alike, known = cast(Any, Alike()), frozenset({"lant"})
    assert asyncio.run(Grounding(["a lamp"], alike, known).holds("a lantern"))
    assert not asyncio.run(Grounding(["a lamp"], alike, known).holds("a gounk"))


def test_a_predicate_that_puts_other_words_in_place_is_told() -> None:
    assert substitutes("Is there an orange wagon?", ["a crimson wagon"])
    assert not substitutes("Is there a wagon?", ["a crimson wagon"])
    assert not substitutes("Does it take place at night?", ["the scene at night"])


def test_contradictions_are_found_in_the_words() -> None:
    assert excludes("a house", "a red house") and not excludes("a red house", "a house")
    assert same_thing_counted("exactly two cars", "exactly three cars")
    assert not same_thing_counted("exactly two cars", "exactly three boats")


def fold(
    world: Any, message: str, act: str, *, question: Any = None, facts: Any = (CAR,), **reply: Any
) -> dict[str, Any]:
    """The update of the dialogue state by a talker that replies so."""
    given = FoldAnswer(**{"topic": "same", "answer": "None", "drop": [], "steps": [], **PLAIN, **reply})
    state: Any = {
        "query": message, "acts": [{"text": message, "act": act}], "facts": list(facts), "question": question,
        "intent": {"steps": [], **PLAIN}, "reference": None, "reference_caption": "a blank image", "usage": [],
        "turns": 0, "turn": None, "calls": 0, "remarks": [], "anchor": None, "request": "a blue car",
    }  # fmt: skip
    node = UpdateDialogueState(world.role("talker", given.model_dump_json()))
    return asyncio.run(node(cast(State, state), cast(Any, SimpleNamespace(context=Settings()))))


def texts(update: dict[str, Any]) -> list[str]:
    return [step["text"] for step in update["intent"]["steps"]]


def test_an_invented_step_is_left_out_with_a_note_and_the_users_words_stand(world: Any) -> None:
    steps = [{"type": "Addition", "text": "exactly six things"}]
    update = fold(world, "a lighthouse", "wish", steps=steps, full="a blue car and exactly six things")
    assert texts(update) == ["a blue car", "a lighthouse"]
    assert "six" not in update["intent"]["full"]
    assert {each["kind"] for each in update["notes"]} >= {"drifted", "fallback"}


def test_a_fact_that_the_message_does_not_name_stays(world: Any) -> None:
    steps = [{"type": "Addition", "text": "a red star"}]
    update = fold(world, "also a red star", "wish", steps=steps, drop=[1], core="a star", full="a red star")
    assert texts(update) == ["a blue car", "a red star"]
    assert update["intent"]["full"] == "a blue car and a red star"


def test_a_question_that_was_passed_over_is_not_answered(world: Any) -> None:
    question = {"text": "Is there a boat?", "asks": "Is there a boat?", "information": 1.0}
    steps = [{"type": "Addition", "text": "a red star"}, {"type": "Addition", "text": "a boat"}]
    update = fold(world, "a red star, please", "wish", question=question, steps=steps, answer="Yes")
    assert texts(update) == ["a blue car", "a red star"]


def test_a_contradiction_is_named_and_the_newer_holds(world: Any) -> None:
    house: Fact = {"type": "Removal", "text": "a heart", "predicates": []}
    steps = [{"type": "Addition", "text": "a red heart"}]
    update = fold(world, "a red heart after all", "wish", facts=(CAR, house), steps=steps)
    assert texts(update) == ["a blue car", "a red heart"]
    assert update["remarks"] == ['"without a heart" no longer holds, since "a red heart" is newer.']


def test_a_withdrawal_drops_the_fact_that_it_names(world: Any) -> None:
    star: Fact = {"type": "Addition", "text": "a red star", "predicates": []}
    update = fold(world, "never mind the car", "withdrawal", facts=(CAR, star), drop=[2], topic="new")
    assert texts(update) == ["a red star"]


@pytest.mark.parametrize(
    ("message", "act"), [("how deep is the ocean", "wish"), ("the car is rather so-so", "correction")]
)
def test_a_message_in_which_nothing_is_found_changes_nothing_and_is_told(
    world: Any, message: str, act: str
) -> None:
    update = fold(world, message, act, core="a blue car", enhanced="a blue car")
    assert "facts" not in update and "intent" not in update
    assert update["remarks"][0] == f'I did not understand "{message}".'
    assert update["acts"] == [{"text": message, "act": "unclear"}], (
        "so that the question comes in other words"
    )


def test_what_stands_and_is_said_again_was_understood(world: Any) -> None:
    update = fold(world, "a blue car", "wish")
    assert texts(update) == ["a blue car"] and update["remarks"] == []


def test_a_predicate_about_something_else_is_left_out(world: Any) -> None:
    asked = ("Is there a blue car?", "Is there an orange boat?")
    answer = json.dumps({"predicates": [{"question": each, "expected": "Yes"} for each in asked]})
    state: Any = {
        "facts": [CAR],
        "intent": {
            "steps": [
                {"type": "Addition", "text": "a blue car"},
                {"type": "Addition", "text": "a crimson yacht"},
            ]
        },
        "ranking_retrieve": ["red.png"],
        "usage": [],
    }
    node = VerifyNewFacts(world.role("reasoner", answer))
    update = asyncio.run(node(state, cast(Any, SimpleNamespace(context=Settings()))))
    assert [fact["predicates"] for fact in update["facts"]] == [[], []]
    assert {each["kind"] for each in update["notes"]} == {"drifted", "retried", "unchecked"}


class Colours:
    """An embedder to which a colour without a thing is as good as any thing of that colour."""

    weights, dimension = "colours", 3

    def texts(self, texts: list[str]) -> Any:
        alike = ("a grey wagon", "a grey", "grey", "the grey", "with the grey", "a grey one", "grey one")
        return np.eye(3)[[0 if each in alike else 1 if each == "a wagon" else 2 for each in texts]]


@pytest.mark.parametrize(
    ("told", "holds"),
    [("a grey kettle", False), ("a grey one", False), ("with the grey", True), ("grey, please", True)],
)
def test_a_property_cut_from_its_thing_is_no_ground_for_another_thing(told: str, holds: bool) -> None:
    assert held("a grey wagon", told, embedder=Colours()) is holds

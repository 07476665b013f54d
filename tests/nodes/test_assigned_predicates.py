"""Predicates are laid to the instruction whose words they ask about, and contradict none."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imagescope_agent.errors import RequestRefused
from imagescope_agent.nodes.chat.new_predicates import VerifyNewFacts
from imagescope_agent.nodes.intent.assigned_predicates import (
    assigned,
    checks_of,
    is_asked,
    suited_predicates,
)
from imagescope_agent.settings import Settings
from imagescope_agent.state import Instruction, Predicate


def step(text: str, kind: str = "Addition") -> Instruction:
    return {"type": kind, "text": text}


def asks(question: str, expected: str = "Yes") -> Predicate:
    return {"question": question, "expected": expected}


BEACH, CATS = step("on a beach"), step("cats", "Removal")
SAND, NO_CAT, CAT = asks("Is it on a beach?"), asks("Is there a cat?", "No"), asks("Is there a cat?")


@pytest.mark.parametrize("found", [[CAT, NO_CAT], [NO_CAT, CAT], [CAT, SAND, NO_CAT, CAT]])
def test_of_a_contradiction_the_answer_stays_that_suits_the_instruction(found: list[Predicate]) -> None:
    kept, notes = suited_predicates(found, [BEACH, CATS])
    assert [each for each in kept if each != SAND] == [NO_CAT]
    assert [each["kind"] for each in notes] == ["contradiction"] and "'No' was kept" in notes[0]["detail"]
    kept, _ = suited_predicates(found, [BEACH, step("cats")])
    assert [each for each in kept if each != SAND] == [CAT]


def test_of_a_contradiction_about_nothing_that_was_said_the_first_stays() -> None:
    kept, notes = suited_predicates([asks("Is it dark?", "No"), asks("Is it dark?")], [BEACH])
    assert kept == [asks("Is it dark?", "No")] and [each["kind"] for each in notes] == ["contradiction"]


def test_both_answers_suit_an_instruction_and_one_of_them_stays() -> None:
    steps = [step("a red car"), step("a blue car", "Removal")]
    car, no_car = asks("Is there a car?"), asks("Is there a car?", "No")
    assert suited_predicates([car, no_car], steps)[0] == [car]
    assert suited_predicates([no_car, car], steps)[0] == [no_car]


@pytest.mark.parametrize(
    ("question", "said", "kept"),
    [
        (asks("Is there a red car?", "No"), step("a red car"), "Yes"),
        (asks("Is there a red car?"), step("a red car", "Removal"), "No"),
        (asks("Is there a red car?", "No"), step("a red car", "Removal"), "No"),
        (asks("Is there no red car?"), step("a red car", "Removal"), "Yes"),
        (asks("Is there a car?", "No"), step("a red car"), "No"),  # less is asked
    ],
)
def test_the_answer_suits_the_instruction_that_has_just_its_words(
    question: Predicate, said: Instruction, kept: str
) -> None:
    found, notes = suited_predicates([question], [said, BEACH])
    assert found == [{**question, "expected": kept}]
    assert [each["kind"] for each in notes] == ["contradiction"] * (kept != question["expected"])
    both = [said, step(said["text"], "Addition" if said["type"] == "Removal" else "Removal")]
    assert suited_predicates([question], both) == ([question], [])


@pytest.mark.parametrize(
    ("question", "turned"),
    [
        ("Is there a boat right of a red car?", True),
        ("Is there a red car right of a boat?", False),
        ("Is there a boat left of a red car?", False),
        ("Is there a red car beside a boat?", False),
    ],
)
def test_two_things_are_asked_about_in_the_order_of_the_instruction(question: str, turned: bool) -> None:
    found, notes = suited_predicates([asks(question)], [step("a red car right of a boat"), BEACH])
    assert found == [asks("Is there a red car right of a boat?" if turned else question)]
    assert [each["kind"] for each in notes] == ["contradiction"] * turned
    both = [step("a red car right of a boat"), step("a boat right of a red car", "Removal")]
    kept = suited_predicates([asks(both[0]["text"]), asks(both[1]["text"], "No")], both)
    assert kept == ([asks(both[0]["text"]), asks(both[1]["text"], "No")], [])


def test_an_instruction_may_be_asked_about_in_the_question_of_another() -> None:
    both = [asks("Is there a cat on a beach?")]
    assert is_asked(BEACH, both) and is_asked(step("a cat"), both)
    assert not is_asked(CATS, both) and not is_asked(step("a black cat"), both)


def test_one_thing_that_is_wanted_and_another_of_its_kind_that_is_not() -> None:
    steps = [step("a cat"), step("black cats", "Removal")]
    found = [NO_CAT, CAT, asks("Is there a black cat?", "No")]
    kept, _ = suited_predicates(found, steps)
    assert kept == [CAT, asks("Is there a black cat?", "No")]
    assert assigned(kept, steps) == [[CAT], [asks("Is there a black cat?", "No")]]


@pytest.mark.parametrize(
    ("found", "own"),
    [
        ([SAND, NO_CAT], [[SAND], [NO_CAT]]),
        ([NO_CAT, SAND], [[SAND], [NO_CAT]]),
        ([NO_CAT], [[], [NO_CAT]]),
        ([asks("Is it by the sea?"), NO_CAT], [[asks("Is it by the sea?")], [NO_CAT]]),
        ([NO_CAT, asks("Is it by the sea?")], [[asks("Is it by the sea?")], [NO_CAT]]),
        ([SAND, NO_CAT, asks("Is it day?")], [[SAND], [NO_CAT, asks("Is it day?")]]),
        ([], [[], []]),
    ],
)
def test_a_predicate_belongs_to_the_instruction_with_its_words_else_to_one_that_has_none(
    found: list[Predicate], own: list[list[Predicate]]
) -> None:
    assert assigned(found, [BEACH, CATS]) == own
    assert assigned(found, []) == []


def update(
    world: Any, *replies: list[Predicate] | str | Exception, **settings: Any
) -> tuple[dict[str, Any], list[str]]:
    """The update of two new facts where the reasoner replies these predicates, call by call, and its prompts."""
    prompts: list[str] = []

    def reasoner(asked: Any) -> str:
        prompts.append(asked.text)
        said = replies[min(len(prompts), len(replies)) - 1]
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, str) else json.dumps({"predicates": said})

    boat = asks("Is there a boat?")
    state: Any = {
        "facts": [{"type": "Addition", "text": "a boat", "predicates": [boat]}],
        "intent": {"steps": [step("a boat"), BEACH, CATS]},
        "ranking_retrieve": ["red.png"],
        "usage": [],
    }
    runtime = cast(Any, SimpleNamespace(context=Settings(**settings)))
    return asyncio.run(VerifyNewFacts(world.role("reasoner", reasoner))(state, runtime)), prompts


def own(found: dict[str, Any]) -> list[list[Predicate]]:
    return [fact["predicates"] for fact in found["facts"]][1:]


def test_what_the_reply_left_out_is_asked_once_more_without_the_others(world: Any) -> None:
    boat = asks("Is there a boat?")
    found, prompts = update(world, [boat, CAT, NO_CAT], [boat, SAND])
    assert own(found) == [[SAND], [NO_CAT]] and found["predicates"] == [boat, SAND, NO_CAT]
    assert len(prompts) == 2 and "on a beach" in prompts[1] and "cats" not in prompts[1]
    assert [each["kind"] for each in found["notes"]] == ["contradiction", "retried"]
    assert sum(each["calls"] for each in found["usage"]) == 2


@pytest.mark.parametrize(
    ("second", "settings", "calls", "kind"),
    [
        ([asks("Is there a boat?"), asks("Is there a dog on the moon?")], {}, 2, "drifted"),
        ("I cannot say", {}, 2, "unreadable"),
        (RequestRefused("the server takes no such question"), {}, 2, "refused"),
        ([SAND], {"budget": 1}, 1, "budget"),
    ],
)
def test_what_stays_without_a_predicate_is_told(
    world: Any, second: Any, settings: dict[str, Any], calls: int, kind: str
) -> None:
    found, prompts = update(world, [asks("Is there a boat?"), NO_CAT], second, **settings)
    assert own(found) == [[], [NO_CAT]] and len(prompts) == calls
    kinds = [each["kind"] for each in found["notes"]]
    assert kinds[0] in ("retried", kind) and kind in kinds and kinds[-1] == "unchecked"
    assert ("retried" in kinds) == (kind in ("drifted", "unreadable"))  # not where nothing was asked
    assert sum(each["calls"] for each in found["usage"]) == calls - (kind == "refused")


def test_a_thing_that_no_question_is_about_is_asked_for() -> None:
    steps = [
        step("a red car"),
        step("a blue car", "Removal"),
        step("a green car", "Retention"),
        step("at night"),
    ]
    found = [asks("Is there a red car?"), asks("Is there a blue car?", "No"), asks("Is there a blue car?")]
    kept, notes = checks_of(found, steps)
    assert kept == [*found[:2], asks("Is there a green car?")]
    assert [each["kind"] for each in notes] == ["contradiction", "repaired", "unchecked"]
    assert "'at night'" in notes[-1]["detail"]  # names no thing: nothing is asked for it
    assert checks_of(found[:1], [step("a red car"), step("a cat", "Removal")])[0][1:] == [
        asks("Is there a cat?", "No")
    ]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("a green car.", "Is there a green car?"),
        ("an owl", "Is there an owl?"),
        ("two green cars", "Are there two green cars?"),
        ("clouds", "Are there clouds?"),
        ("the clouds", ""),
        ("grass", ""),
        ("a man wearing", ""),
        ("a two dogs run through", ""),
        ("at night", ""),
        ("the scene in the snow", ""),
    ],
)
def test_what_is_asked_for_is_a_thing(text: str, question: str) -> None:
    first = asks("Is there a red cow?")
    kept, notes = checks_of([first], [step("a red cow"), step(text)])
    assert [each["question"] for each in kept[1:]] == ([question] if question else [])
    assert [each["kind"] for each in notes] == ["repaired" if question else "unchecked"]


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        ([asks("Is there a red car on a beach?")], [step("a red car"), step("a beach")]),  # one asks for both
        ([asks("Does it look gloomy?"), asks("Is it outside?")], [step("a dark mood"), step("a park")]),
        ([], [step("a red car")]),
    ],
)
def test_what_is_asked_in_other_words_is_not_asked_again(
    found: list[Predicate], steps: list[Instruction]
) -> None:
    assert checks_of(found, steps) == (found, [])

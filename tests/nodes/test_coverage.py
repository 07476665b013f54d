"""What a message names in words of the collection and a model passed over is found again."""

from __future__ import annotations

import asyncio

import pytest

from imagescope_agent.nodes.chat.coverage import noun_phrases, with_passed_over
from imagescope_agent.nodes.drift import content_words
from imagescope_agent.replies.parsing import StepAnswer

WORDS = content_words("a big small crimson teal lantern wagon harbour")


def completed(message: str, *steps: tuple[str, str], known: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    given = [StepAnswer(type=kind, text=text) for kind, text in steps]  # type: ignore[arg-type]
    found = asyncio.run(with_passed_over(given, message, known, None, WORDS))
    return [(step.type, step.text) for step in found]


@pytest.mark.parametrize(
    ("message", "phrases"),
    [
        ("a small teal lantern, please", ["a small teal lantern"]),
        ("big crimson wagon", ["a big crimson wagon"]),
        ("crimson lanterns, teal wagon", ["crimson lanterns", "a teal wagon"]),
        ("a lantern, a teal one", ["a lantern"]),
        ("a dragon", []),
        ("a crimson dragon", []),
        ("lantern", []),
    ],
)
def test_phrases_are_runs_of_words_that_describe_the_collection(message: str, phrases: list[str]) -> None:
    assert noun_phrases(message, WORDS) == phrases


def test_a_step_that_says_less_than_the_message_gives_way() -> None:
    assert completed("big crimson wagon", ("Addition", "a wagon")) == [("Addition", "a big crimson wagon")]


def test_a_second_thing_is_added_and_an_excluded_one_excluded() -> None:
    first = ("Addition", "a teal lantern")
    assert completed("a teal lantern and a wagon", first) == [first, ("Addition", "a wagon")]
    assert completed("a teal lantern but not a wagon", first) == [first, ("Removal", "a wagon")]


def test_what_is_covered_or_stands_is_not_said_twice() -> None:
    step = ("Addition", "a crimson lantern left of a wagon")
    assert completed("a crimson lantern left of a wagon", step) == [step]
    assert completed(
        "rather a teal lantern than a wagon", ("Addition", "a teal lantern"), known=("a wagon",)
    ) == [("Addition", "a teal lantern")]


def test_without_descriptions_nothing_is_found() -> None:
    assert asyncio.run(with_passed_over([], "a teal lantern", (), None, frozenset())) == []

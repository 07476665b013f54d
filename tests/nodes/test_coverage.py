"""What a message names in words of the collection and a model passed over is found again."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from imagescope_agent.nodes.chat.language import polarity
from imagescope_agent.nodes.chat.language.coverage import Known, phrases, with_passed_over
from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS, read_captions
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.state import Fact

WORDS = read_captions(
    (
        "a big crimson lantern and a small teal wagon, in the harbour",
        "a small crimson wagon, a lantern and a big teal lantern, at dawn",
        "a wagon beside a lantern",
    )
)


def fact(text: str, kind: str = "Addition") -> Fact:
    return {"type": kind, "text": text, "predicates": []}


def completed(message: str, *steps: tuple[str, str], facts: tuple[Fact, ...] = ()) -> list[tuple[str, str]]:
    given = [StepAnswer(type=kind, text=text) for kind, text in steps]  # type: ignore[arg-type]
    found = asyncio.run(with_passed_over(given, message, Known((), facts), None, WORDS))
    return [(step.type, step.text) for step in found]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a small teal lantern, please", ["a small teal lantern"]),
        ("big crimson wagon", ["a big crimson wagon"]),
        ("crimson lanterns, teal wagon", ["crimson lanterns", "a teal wagon"]),
        ("a lantern, a teal one", ["a teal lantern"]),
        ("teal, that lantern", ["a teal lantern"]),
        ("the lantern isn't crimson but teal", ["a teal lantern"]),
        ("the lantern: teal. the wagon: crimson", ["a teal lantern", "a crimson wagon"]),
        ("a wagon, crimson and big", ["a big crimson wagon"]),
        ("a crimson lantern and a teal one", ["a crimson lantern", "a teal lantern"]),
        ("a wagon in the harbour", ["a wagon", "in the harbour"]),
        ("I recall a harbour", ["in the harbour"]),
        ("a dragon", []),
        ("a crimson dragon", ["a crimson dragon"]),
        ("crimson dragons", []),
        ("a teal wagon, on crimson gravel", ["a teal wagon"]),
        ("a wagon under the teal heavens", ["a wagon"]),
        ("a wagon on a crimson rug", ["a wagon", "a crimson rug"]),
        ("lantern", ["a lantern"]),
        ("Lanterns!!", ["lanterns"]),
    ],
)
def test_phrases_are_runs_of_words_that_describe_the_collection(message: str, expected: list[str]) -> None:
    assert [phrase.text for phrase in phrases(message, WORDS)] == expected


def test_a_property_alone_is_of_the_last_thing_that_stands() -> None:
    assert [phrase.text for phrase in phrases("make it teal", WORDS, about="a big lantern")] == [
        "a big teal lantern"
    ]
    assert [phrase.text for phrase in phrases("make it teal", WORDS)] == []
    assert [phrase.text for phrase in phrases("crimson dragons", WORDS, about="a big lantern")] == []


def test_a_step_that_says_less_than_the_message_gives_way() -> None:
    assert completed("big crimson wagon", ("Addition", "a wagon")) == [("Addition", "a big crimson wagon")]


@pytest.mark.parametrize(
    ("message", "counted"),
    [
        ("six things crammed in there, a teal lantern", "six things"),
        ("there are 4 different objects and a teal lantern", "four things"),
        ("a teal lantern, five items in total", "five things"),
        ("two things: a teal lantern and more light", ""),
        ("there are two things to say, a teal lantern first", ""),
        ("a teal lantern, things went well there", ""),
        ("a teal lantern, show me 5 items", ""),
        ("change two things in the picture: a teal lantern", ""),
        ("there are two things in the picture I don't like, a teal lantern is what I want", ""),
        ("a teal lantern with fewer than four objects in it", ""),
        ("a teal lantern and at least three objects in it", ""),
        ("a teal lantern, one of the three things in the image", ""),
        ("a teal lantern, twenty two things in it", ""),
    ],
)
def test_a_number_of_things_is_part_of_a_wish(message: str, counted: str) -> None:
    lantern = ("Addition", "a teal lantern")
    assert completed(message, lantern) == [lantern, *([("Addition", counted)] if counted else [])]
    assert completed(message, lantern, ("Addition", "exactly six things"), ("Addition", "exactly four things"),
                     ("Addition", "exactly five things"))[4:] == []  # fmt: skip


def test_a_second_thing_is_added_and_an_excluded_one_excluded() -> None:
    first = ("Addition", "a teal lantern")
    assert completed("a teal lantern and a wagon", first) == [first, ("Addition", "a wagon")]
    assert completed("a teal lantern but not a wagon", first) == [first, ("Removal", "a wagon")]


def test_a_word_without_an_article_counts_where_nothing_else_was_found_or_it_is_excluded() -> None:
    first = ("Addition", "a teal lantern")
    assert completed("a teal lantern for my wagon collection", first) == [first]
    assert completed("wagon!!") == [("Addition", "a wagon")]
    assert completed("a teal lantern, wagons are out", first) == [first, ("Removal", "wagons")]


def test_what_is_covered_or_stands_is_not_said_twice() -> None:
    step = ("Addition", "a crimson lantern left of a wagon")
    assert completed("a crimson lantern left of a wagon", step) == [step]
    assert completed(
        "rather a teal lantern than a wagon", ("Addition", "a teal lantern"), facts=(fact("a wagon"),)
    ) == [("Addition", "a teal lantern")]


def test_what_is_excluded_is_no_ground_for_what_is_wanted() -> None:
    excluded = fact("a wagon", "Removal")
    assert completed("with a wagon after all", facts=(excluded,)) == [("Addition", "a wagon")]
    assert completed("no wagons", facts=(excluded,)) == []


def test_without_descriptions_nothing_is_found() -> None:
    assert asyncio.run(with_passed_over([], "a teal lantern", Known(), None, NO_WORDS)) == []


class Counting:
    """A pattern that counts how often a text is searched with it."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern, self.calls = pattern, 0

    def sub(self, to: str, text: str) -> str:
        self.calls += 1
        return self.pattern.sub(to, text)


def calls_of(read: Callable[[], object]) -> int:
    """How many functions are called while something is read."""
    events = Counter[str]()

    def count(frame: object, event: str, argument: object) -> None:
        events[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read()
    finally:
        sys.setprofile(before)
    return events["call"] + events["c_call"]


def test_a_long_message_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(polarity._ANNOUNCED)
    monkeypatch.setattr(polarity, "_ANNOUNCED", counting)
    message = "a wagon with teal and a big lantern near the small crimson of " * 70
    for count, length in enumerate((500, 4000), 1):
        assert phrases(message[:length], WORDS) and counting.calls == count


@pytest.mark.parametrize("text", ["a lantern. teal. wagon! ", "a big lantern, no crimson. ", "teal. "])
def test_the_work_grows_with_the_length_of_a_message(text: str) -> None:
    message = text * 1400
    phrases(message[:20], WORDS)
    short, long = (calls_of(lambda end=end: phrases(message[:end], WORDS)) for end in (500, 4000))  # type: ignore[misc]
    assert long < 12 * short


def test_the_same_said_twice_counts_once() -> None:
    assert [phrase.text for phrase in phrases("a lantern. teal. teal.", WORDS)] == ["a teal lantern"]


@pytest.mark.parametrize(
    ("message", "new"),
    [
        ("replace the small wagon with a big lantern", "a big lantern"),
        ("replace small wagons with a big lantern", "a big lantern"),
        ("change the crimson lantern to a teal lantern", "a teal lantern"),
        ("instead of the crimson wagon a teal wagon", "a teal wagon"),
        ("a teal lantern rather than the wagon", "a teal lantern"),
        ("swap the crimson wagon for a big lantern", "a big lantern"),
        ("please turn that wagon into a lantern", "a lantern"),
        ("replace the wagon and the small lantern with a big lantern", "a big lantern"),
        ("the small wagon should be replaced by a big lantern", "a big lantern"),
    ],
)
def test_what_something_else_replaces_is_no_wish(message: str, new: str) -> None:
    assert completed(message, ("Addition", new)) == [("Addition", new)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a teal lantern and for a change a wagon", ["a teal lantern", "a wagon"]),
        (
            "replace the small wagon with a teal lantern and a big lantern",
            ["a teal lantern", "a big lantern"],
        ),
        ("a teal lantern, change the wagon to crimson", ["a teal lantern", "a crimson wagon"]),
    ],
)
def test_what_comes_in_its_place_is_one(message: str, expected: list[str]) -> None:
    assert [text for _, text in completed(message, ("Addition", "a teal lantern"))] == expected

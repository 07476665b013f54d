"""What a query without a picture names and its reading leaves out or turns round."""

from __future__ import annotations

import asyncio

import pytest

from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS, read_captions
from imagescope_agent.nodes.intent.named_things import completed, unread_exclusions, with_new_things
from imagescope_agent.state import Instruction, Intent

WORDS = read_captions(
    ("a red kettle and a blue chair in the kitchen", "a blue kettle, in a garden", "a red chair", "a lamp")
)


def intent(*steps: str) -> Intent:
    """Of "a red kettle", wanted, and "-a lamp", not."""
    made: list[Instruction] = [
        {"type": "Removal", "text": each[1:]} if each[0] == "-" else {"type": "Addition", "text": each}
        for each in steps
    ]
    told = ", ".join(each["text"] for each in made)
    return {"steps": made, "core": told, "enhanced": told, "full": told}


def steps(read: Intent, query: str) -> tuple[list[str], list[str]]:
    found, notes = asyncio.run(completed(read, query, None, WORDS, "reread"))
    told = [("-" if step["type"] == "Removal" else "") + step["text"] for step in found["steps"]]
    return told, [each["kind"] for each in notes]


@pytest.mark.parametrize(
    ("query", "read", "whole", "kinds"),
    [
        ("a red kettle with a blue chair, no lamp", ["a blue chair", "-a lamp"],
         ["a blue chair", "a red kettle", "-a lamp"], ["repaired"]),
        ("a red kettle, a blue chair", ["a red kettle", "-a blue chair"],
         ["a red kettle", "a blue chair"], ["repaired"]),
        ("a lamp-free kitchen, a red kettle in it", ["-a red kettle", "in the kitchen"],
         ["a red kettle", "in the kitchen", "-a lamp"], ["repaired"] * 2),
        ("a red kettle", ["a red kettle", "the scene in a garden"], ["a red kettle"], ["drifted"]),
        ("to the right of a red kettle, a blue chair", ["a red kettle right of a blue chair"],
         ["a red kettle left of a blue chair"], ["repaired"]),
    ],
)  # fmt: skip
def test_what_the_words_name_is_taken_up(
    query: str, read: list[str], whole: list[str], kinds: list[str]
) -> None:
    assert steps(intent(*read), query) == (whole, kinds)


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("a red kettle without a lamp", ["a red kettle", "-a lamp"]),
        ("a red kettle left of a blue chair", ["a red kettle left of a blue chair"]),
        ("a red kettle left of a blue chair", ["a blue chair right of a red kettle"]),
        ("a red kettle or a blue chair", ["a red kettle"]),  # not both need be there
        ("a red kettle, apart from lamps", ["a red kettle", "-lamps"]),
        ("eine rote Kanne und ein blauer Stuhl, bitte", ["a red kettle"]),
        ("some kids at play", ["children", "a game"]),  # what a reading infers stays
        ("a red kettle in the kitchen", ["a red kettle", "in the kitchen"]),
    ],
)
def test_a_reading_that_holds_all_stays(query: str, read: list[str]) -> None:
    assert steps(intent(*read), query) == (read, [])


def test_without_captions_nothing_is_known() -> None:
    read = intent("a lamp")
    assert asyncio.run(completed(read, "a red kettle", None, NO_WORDS, "reread")) == (read, [])


@pytest.mark.parametrize(
    ("query", "read", "lost"),
    [
        ("get rid of that red kettle", ["a blue chair"], ["a red kettle"]),
        ("get rid of that red kettle", ["-a red kettle"], []),
        ("same, but red kettle must go away", ["a red kettle", "-a red kettle"], ["a red kettle"]),
        ("a red kettle instead", ["a red kettle"], []),
    ],
)
def test_an_exclusion_that_no_instruction_has(query: str, read: list[str], lost: list[str]) -> None:
    assert unread_exclusions(intent(*read), query, WORDS) == lost


@pytest.mark.parametrize(
    ("query", "read", "whole"),
    [
        ("the same, a lamp in place of the chair and with a red kettle", ["a lamp", "-a chair", "a lamp"],
         ["a lamp", "a red kettle", "-a chair"]),
        ("a blue chair too, and the kettle is red", ["a red kettle", "-a blue kettle"],
         ["a red kettle", "a blue chair", "-a blue kettle"]),
    ],
)  # fmt: skip
def test_a_new_thing_that_the_reading_passes_over_comes_in(
    query: str, read: list[str], whole: list[str]
) -> None:
    found, notes = with_new_things(intent(*read), query, WORDS, "reread")
    assert [("-" if each["type"] == "Removal" else "") + each["text"] for each in found["steps"]] == whole
    assert [each["kind"] for each in notes] == ["repaired"]


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("make the red kettle blue", ["a blue kettle"]),  # what is known is not to be added
        ("change the colour of the red kettle to blue", ["a blue kettle", "-a red one"]),
        ("swap a red kettle for a blue chair", ["a blue chair"]),
        ("swap out a red kettle for a blue chair", ["a blue chair"]),
        ("drop a red kettle and keep the lamp", ["a lamp"]),
        ("it shows a red kettle, make it blue", ["a lamp"]),
        ("instead of a red kettle a blue chair", ["a blue chair"]),
        ("the same without a red kettle", ["-a red kettle"]),
        ("not a red kettle", ["a lamp"]),
        ("with chairs", ["a lamp"]),  # "chairs" alone may be anything
        ("in a garden, please", ["a lamp"]),  # a place is kept or changed
        ("a red blue kettle", ["a lamp"]),  # no thing is both
        ("a red settee", ["a lamp"]),  # no word of the collection
        ("a red kettle or a blue chair", ["a lamp"]),
        ("everything is red now", ["a lamp"]),
        ("a red kettle", []),
    ],
)
def test_what_is_no_new_thing_stays_out(query: str, read: list[str]) -> None:
    assert with_new_things(intent(*read), query, WORDS, "reread") == (intent(*read), [])

"""Readings that say what the words of a query do not, and such a query in plain words."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.intent.contradictions import (
    in_plain_colour,
    in_plain_place,
    turns_around,
    unnamed_things,
    unsaid_exclusion,
    untaken_colour,
    unused_place,
)
from imagescope_agent.state import Instruction, Intent

CAPTIONS = ["a red kettle and a green lamp, in a kitchen", "a blue chair, in a garden"]


def intent(*steps: tuple[str, str, int]) -> Intent:
    made: list[Instruction] = [
        {"type": kind, "text": text, **({"reference": number} if number else {})}  # type: ignore[typeddict-item]
        for kind, text, number in steps
    ]
    told = ", ".join(text for _, text, _ in steps)
    return {"steps": made, "core": told, "enhanced": told, "full": told}


KEPT = intent(("Retention", "a red kettle", 1), ("Retention", "a blue chair", 2))
PLACED = intent(("Retention", "a kettle", 1), ("Retention", "in a garden", 2))
ON_BEACH = ("Modification", "on a beach", 0)
TAKEN = intent(("Retention", "a kettle", 1), ("Modification", "a blue kettle", 2))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("a kettle, a lamp", False),
        ("a kettle plus a lamp", False),
        ("a kettle without a lamp", True),
        ("a lamp-free picture of a kettle", True),
        ("a kettle but a lamp isn't there", True),
        ("a kettle apart from a lamp", True),
        ("aside from any lamp, a kettle", True),
        ("a kettle besides lamps", True),
        ("any kettle other than with a lamp", True),
        ("a kettle, I detest lamps", True),
        ("a kettle and zero lamps", True),
        ("a kettle, lamps are banned", True),
        ("a kettle, a lamp is prohibited", True),
        ("keep the lamp off the picture of a kettle", True),
        ("a kettle, a lamp must vanish", True),
        ("only a kettle", True),
        ("a lone kettle", True),
        ("a kettle on its own", True),
        ("a kettle in a deserted kitchen", True),
        ("a kettle in an empty room", True),
        ("a kettle and a lamp in the desert", False),
        ("a kettle in the evening, a lamp behind it", False),
        ("I want a different kettle under a lamp", False),
        ("a kettle and I dont want a lamp", True),
        ("un chat avec une lampe et une table dans la cuisine", True),  # of other languages nothing is judged
    ],
)
def test_an_exclusion_needs_a_word_that_excludes(query: str, said: bool) -> None:
    found = intent(("Addition", "a kettle", 0), ("Removal", "a lamp", 0))
    assert unsaid_exclusion(found, query) is not said
    assert not unsaid_exclusion(intent(("Addition", "a kettle", 0)), query)


def test_a_colour_that_the_words_speak_of_is_taken_over_by_something() -> None:
    query = "the kettle of image 1 in the colour of the chair of image 2"
    assert untaken_colour(KEPT, query, CAPTIONS) and not untaken_colour(TAKEN, query, CAPTIONS)
    assert not untaken_colour(KEPT, "the kettle of image 1 and the chair of image 2", CAPTIONS)
    assert not untaken_colour(intent(), query, CAPTIONS)


@pytest.mark.parametrize(
    ("query", "doubted"),
    [
        ("keep the colour of the kettle of image 1 and the chair of image 2", False),
        ("the kettle of image 1 keeps its hue, beside the chair of image 2", False),
        ("the kettle of the first in its own shade beside the chair of the second", False),
        ("the kettle and the chair in their colours", False),
        ("the kettle's tint stays, and the chair of image 2 is there", False),
        ("the colour of the kettle is unchanged, next to the chair", False),
        ("both in the same colours as before, the kettle and the chair", False),
        ("don't change the colour of the kettle, add the chair", False),
        ("leave the kettle's colour, add the chair", False),
        ("the kettle and the chair, do not repaint anything", False),
        ("the kettle in the same colour as the chair", True),
        ("keep the kettle but in the colour of the chair", True),
        ("the kettle, with its colour taken from the chair", True),
        ("the kettle, and change its colour to the chair's", True),
    ],
)
def test_a_colour_that_is_kept_is_taken_over_by_nothing(query: str, doubted: bool) -> None:
    assert untaken_colour(KEPT, query, CAPTIONS) is doubted


@pytest.mark.parametrize(
    ("second", "turned"),
    [
        (("Addition", "a kettle and a lamp", 0), True),
        (("Retention", "the lamp", 0), True),
        (("Removal", "a lamp", 0), False),
        (("Addition", "a kettle", 0), False),
    ],
)
def test_what_was_excluded_is_turned_around_where_it_is_wanted(
    second: tuple[str, str, int], turned: bool
) -> None:
    first = intent(("Addition", "a kettle", 0), ("Removal", "a lamp", 0))
    assert turns_around(first, intent(second)) is turned


PLAIN = "the kettle of image 1 in the colour of the chair of image 2"


@pytest.mark.parametrize(
    ("query", "plain"),
    [
        ("the kettle there, but with the chair's hue", PLAIN),
        ("I like the shade of the chair; I want the kettle like that", PLAIN),
        ("please paint the kettle like the chair", PLAIN),
        ("the tint that the chair has belongs on the kettle", PLAIN),
        ("could the colour on the kettle be what the chair has?", PLAIN),
        (
            "paint the chair, I mean as the kettle is",
            "the chair of image 2 in the colour of the kettle of image 1",
        ),
        ("the kettle in the colour of the sofa", ""),
        ("the kettle and the lamp in the colour of the chair", ""),
    ],
)
def test_who_lends_a_colour_is_told_by_the_words(query: str, plain: str) -> None:
    assert in_plain_colour(KEPT, query, CAPTIONS) == plain


def test_what_no_reference_gives_is_said_behind_it() -> None:
    more = intent(
        ("Retention", "a red kettle", 1), ("Addition", "the scene in a garden", 0), ("Removal", "a dog", 0)
    )
    query = "the kettle in the hue of the chair, in a garden without a dog"
    assert in_plain_colour(more, query, CAPTIONS) == f"{PLAIN}, in a garden, without a dog"


def test_things_of_both_references_go_by_what_was_read() -> None:
    both = ["a red kettle and a white chair", "a blue kettle and a black chair"]
    query = "the kettle in the colour of the chair"
    read = intent(("Retention", "a blue kettle", 2), ("Retention", "a white chair", 1))
    assert in_plain_colour(read, query, both) == "the kettle of image 2 in the colour of the chair of image 1"
    assert in_plain_colour(intent(("Retention", "a white chair", 1)), query, both) == ""


@pytest.mark.parametrize(
    ("query", "unnamed"),
    [
        ("the kettle in the setting of the second", True),
        ("the kettle where the second is, and its chair", False),
        ("the kettle put into all of the second's setting", False),
        ("a place like that of the second, with the kettle", False),
        ("the setting of the second, no lamp but the kettle", False),
        ("the kettle added to the second", False),
    ],
)
def test_things_that_are_kept_have_a_word_that_is_about_them(query: str, unnamed: bool) -> None:
    read = intent(
        ("Retention", "a red kettle", 1), ("Retention", "a blue chair", 2), ("Retention", "in a garden", 2)
    )
    assert unnamed_things(read, query) is unnamed
    assert not unnamed_things(intent(("Retention", "a kettle", 1), ("Retention", "in a garden", 2)), query)


@pytest.mark.parametrize(
    ("query", "read", "unused"),
    [
        ("the kettle of image 1 where image 2 is", intent(("Retention", "a red kettle", 1)), True),
        ("the kettle of image 1 where image 2 is", PLACED, False),
        ("the kettle of image 1, setting: a beach", intent(("Retention", "a kettle", 1), ON_BEACH), False),
        ("the kettle of image 1 but not where image 2 is", intent(("Retention", "a kettle", 1)), False),
        ("the kettle of image 1", intent(("Retention", "a kettle", 1)), False),
        (
            "la bouilloire de l'image 1, location de la cuisine avec une table et un chat",
            intent(("Retention", "a kettle", 1)),
            False,
        ),
    ],
)
def test_a_place_is_taken_from_the_reference_that_was_left_out(
    query: str, read: Intent, unused: bool
) -> None:
    assert unused_place(read, query, CAPTIONS) is unused


@pytest.mark.parametrize(
    ("query", "plain"),
    [
        ("the setting of that, with the kettle", "the kettle of image 1 in the place of image 2"),
        ("put the chair where the first is", "the chair of image 2 in the place of image 1"),
        ("put the chair and the lamp where the first is", ""),
        ("put the sofa where the first is", ""),
    ],
)
def test_a_thing_in_another_place_in_plain_words(query: str, plain: str) -> None:
    assert in_plain_place(query, CAPTIONS) == plain
    both = "the chair of image 2 in the place of image 1" if query.startswith("put the chair") else ""
    assert in_plain_place(query, ["a kettle and a chair"] * 2) == both

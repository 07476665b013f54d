"""Captions bear out predicates, or do not."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.caption_support import bears_out, number_of
from imagescope_agent.state import Predicate

CAPTION = "A red kettle, a red kettle and a small blue chair in the kitchen; three dogs with a ball."


@pytest.mark.parametrize(
    ("question", "expected", "borne_out"),
    [
        ("Is there a red kettle?", "Yes", True),
        ("Is there a blue kettle?", "Yes", False),  # blue is the chair
        ("Are there exactly two red kettles?", "Yes", True),
        ("Are there exactly three red kettles?", "Yes", False),
        ("Are there exactly three dogs?", "Yes", True),
        ("Is there exactly one blue chair?", "Yes", True),
        ("Is there exactly one dog?", "Yes", False),
        ("Is it?", "Yes", False),
        ("Is there a kettle left of a chair?", "Yes", False),
        ("Is there a chain?", "Yes", False),
        ("Is there exactly one red kettle?", "Yes", False),
        ("Is the scene in the kitchen?", "Yes", True),
        ("Is the scene at night?", "Yes", False),
    ],
)
def test_a_caption_bears_out_what_one_part_of_it_says(question: str, expected: str, borne_out: bool) -> None:
    assert bears_out(CAPTION, [{"question": question, "expected": expected}]) is borne_out


def test_all_predicates_are_to_be_borne_out() -> None:
    first: Predicate = {"question": "Is there a red kettle?", "expected": "Yes"}
    for question, expected, told in [
        ("Is there a lamp?", "No", True),
        ("Is there a blue kettle?", "No", True),
        ("Is there a dog?", "No", False),
        ("Are there exactly two red kettles?", "No", False),
        ("Is there a lamp?", "Yes", False),
    ]:
        assert bears_out(CAPTION, [first, {"question": question, "expected": expected}]) is told
    assert not bears_out(CAPTION, [{"question": "Is there a lamp?", "expected": "No"}])  # of anything so
    assert not bears_out("", [first]) and not bears_out("a shelf without a red kettle", [first])
    assert not bears_out(CAPTION, [{**first, "reference": 1}])


def test_a_number_is_added_up_or_unknown() -> None:
    assert [number_of(CAPTION, things) for things in ("red kettles", "dogs", "lamps")] == [2, 3, 0]
    assert number_of("a red car, two blue cars", "cars") == 3
    assert number_of("cars on a road", "cars") is None

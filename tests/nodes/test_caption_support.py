"""Captions bear out predicates, or do not."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.caption_support import bears_out
from imagescope_agent.state import Predicate

CAPTION = "A red kettle, a red kettle and a small blue chair in the kitchen; three dogs with a ball."


@pytest.mark.parametrize(
    ("question", "expected", "borne_out"),
    [
        ("Is there a red kettle?", "Yes", True),
        ("Is there a blue kettle?", "Yes", False),  # blue is the chair
        ("Is there a blue kettle?", "No", True),
        ("Is there a kettle?", "No", False),
        ("Are there exactly two red kettles?", "Yes", True),
        ("Are there exactly three red kettles?", "Yes", False),
        ("Are there exactly two red kettles?", "No", False),
        ("Are there exactly three dogs?", "Yes", True),
        ("Is there exactly one blue chair?", "Yes", True),
        ("Is there exactly one red kettle?", "Yes", False),
        ("Is the scene in the kitchen?", "Yes", True),
        ("Is the scene at night?", "Yes", False),
    ],
)
def test_a_caption_bears_out_what_one_part_of_it_says(question: str, expected: str, borne_out: bool) -> None:
    assert bears_out(CAPTION, [{"question": question, "expected": expected}]) is borne_out


def test_all_predicates_are_to_be_borne_out() -> None:
    first: Predicate = {"question": "Is there a red kettle?", "expected": "Yes"}
    assert bears_out(CAPTION, [first, {"question": "Is there a lamp?", "expected": "No"}])
    assert not bears_out(CAPTION, [first, {"question": "Is there a lamp?", "expected": "Yes"}])
    assert not bears_out("", [first])

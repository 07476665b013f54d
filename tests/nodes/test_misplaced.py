"""Readings that keep other things of two references than the words name, and such queries in plain words."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.intent.misplaced import misplaced, plainly
from tests.nodes.test_contradictions import intent

BOTH = ["a red kettle and a green chair, in a kitchen", "a blue kettle and a white chair, in a garden"]
ONE, OTHER = ("Retention", "a red kettle", 1), ("Retention", "a white chair", 2)
IN_GARDEN = ("Retention", "the scene in a garden", 2)
DYED = ("Modification", "a white kettle", 2)
PLACE = "the kettle of image 1 in the place of image 2"
THINGS = "the kettle of image 1 and the chair of image 2"
COLOUR = "the kettle of image 1 in the colour of the chair of image 2"


@pytest.mark.parametrize(
    ("query", "right", "wrong", "plain"),
    [
        ("image 2's place, image 1's kettle", [ONE, IN_GARDEN],
         [[("Retention", "a blue kettle", 2), ("Retention", "the scene in a kitchen", 1)], [ONE, OTHER],
          [("Retention", "a green chair", 1), IN_GARDEN], [ONE], [ONE, IN_GARDEN, OTHER]], PLACE),
        ("the kettle as in image 1 and the same chair as in image 2", [ONE, OTHER],
         [[ONE, ("Retention", "a green chair", 1), OTHER], [ONE, IN_GARDEN], [OTHER]], THINGS),
        ("see image 2, that chair? same colour, on image 1's kettle", [("Retention", "a kettle", 1), DYED],
         [[("Retention", "a chair", 2), ("Modification", "a red chair", 1)]], COLOUR),
    ],
)  # fmt: skip
def test_what_is_kept_is_what_the_words_name(
    query: str, right: list[tuple[str, str, int]], wrong: list[list[tuple[str, str, int]]], plain: str
) -> None:
    assert not misplaced(intent(*right), query, BOTH) and plainly(intent(*right), query, BOTH) == plain
    for steps in wrong:
        assert misplaced(intent(*steps), query, BOTH), steps


@pytest.mark.parametrize(
    "query",
    [
        "everything of image 1 with the chair of image 2",
        "like image 1, with the chair of image 2",
        "the kettle of image 1 without the chair of image 2",
        "the kettle of image 1 shaped like the chair of image 2",
        "the kettle and the chair",
        "the kettle of image 1, and its lamp",
        "a colour between the kettle of image 1 and the chair of image 2",
    ],
)
def test_of_other_queries_nothing_is_said(query: str) -> None:
    assert not misplaced(intent(("Retention", "a green chair", 1), ONE, OTHER, DYED), query, BOTH)


def test_what_is_of_no_reference_is_said_behind_it() -> None:
    steps = intent(ONE, OTHER, ("Addition", "a lamp", 0))
    assert plainly(steps, "image 1's kettle, image 2's chair and a lamp", BOTH) == f"{THINGS}, a lamp"

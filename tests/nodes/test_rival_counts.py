"""A number is asked for beside its neighbours."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.rival_counts import rivalled, rivals

TWO = "Are there exactly two stars?"


@pytest.mark.parametrize(
    ("question", "others"),
    [
        (TWO, ["Is there exactly one star?", "Are there exactly three stars?"]),
        ("Is there exactly one red lamp?", ["Are there exactly two red lamps?"]),
        (
            "Are there exactly three boxes on the table?",
            ["Are there exactly two boxes on the table?", "Are there exactly four boxes on the table?"],
        ),
        (
            "Are there exactly two babies with hats?",
            ["Is there exactly one baby with hats?", "Are there exactly three babies with hats?"],
        ),
        ("Are there exactly two fish?", ["Is there exactly one fish?", "Are there exactly three fish?"]),
        ("Are there exactly ten dogs?", ["Are there exactly nine dogs?"]),
        ("Are there exactly two people?", []),  # no regular words
        ("Are there exactly two cars and a boat?", []),
        ("Are there exactly two aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", []),  # in no time
        ("Is there a star?", []),
        ("Are there two stars?", []),  # three stars are two stars, too
        ("Is the scene at night?", []),
    ],
)
def test_the_rivals_of_a_number_are_one_less_and_one_more(question: str, others: list[str]) -> None:
    assert [*rivals(question)] == others


def test_who_says_yes_to_two_and_to_three_is_less_sure_of_two() -> None:
    one, three = rivals(TWO)
    assert rivalled(0.9, TWO, {}) == 0.9
    assert rivalled(0.9, TWO, {one: 0.02, three: 0.03}) == 0.9  # no more sure than it was
    assert rivalled(0.9, TWO, {one: 0.0, three: 0.9}) == pytest.approx(0.5)
    assert rivalled(0.9, "Is there a star?", {three: 0.9}) == 0.9

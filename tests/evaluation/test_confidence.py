"""Calibration, risk at each coverage, and false accepts, each by hand and against a slow twin."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.confidence import (
    acceptance,
    area_under_risk_coverage,
    even_threshold,
    expected_calibration_error,
)

CHANCE = [0.9, 0.8, 0.6, 0.3]
RIGHT = [True, True, False, True]


def drawn(rng: random.Random) -> tuple[list[float], list[bool]]:
    count = rng.randint(1, 7)
    return [rng.randint(0, 20) / 20 for _ in range(count)], [rng.random() < 0.6 for _ in range(count)]


def slow_ece(chance: list[float], right: list[bool]) -> Fraction:
    whole = [Fraction(round(each * 20), 20) for each in chance]
    total = Fraction(0)
    for low in range(10):
        inside = [
            place
            for place, each in enumerate(whole)
            if Fraction(low, 10) < each <= Fraction(low + 1, 10) or (low == each == 0)
        ]
        total += abs(sum((Fraction(right[place]) - whole[place] for place in inside), Fraction(0)))
    return total / len(chance)


def slow_aurc(chance: list[float], right: list[bool]) -> Fraction:
    """The mean over every order that the chances allow."""
    places = range(len(chance))
    orders = [
        order
        for order in itertools.permutations(places)
        if all(chance[one] >= chance[other] for one, other in itertools.pairwise(order))
    ]
    risks = [
        Fraction(sum(not right[place] for place in order[:covered]), covered)
        for order in orders
        for covered in range(1, len(order) + 1)
    ]
    return sum(risks, Fraction(0)) / len(risks)


def test_by_hand() -> None:
    # the bins hold one query each: |1-.9|, |1-.8|, |0-.6|, |1-.3|
    assert expected_calibration_error(np.array(CHANCE), np.array(RIGHT)) == pytest.approx(1.6 / 4)
    # risks 0, 0, 1/3, 1/4
    assert area_under_risk_coverage(np.array(CHANCE), np.array(RIGHT)) == pytest.approx(7 / 48)
    found = acceptance(np.array(CHANCE), np.array(RIGHT), 0.6)
    assert [found.false_accept, found.false_reject] == pytest.approx([1.0, 1 / 3])
    even = even_threshold(np.array(CHANCE), np.array(RIGHT))  # between .6, which is wrong, and .8
    assert [even.threshold, even.false_accept, even.false_reject] == pytest.approx([0.7, 0.0, 1 / 3])
    apart = even_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert apart.threshold == pytest.approx(0.5)


def test_against_slow_twins() -> None:
    rng = random.Random(5)
    for _ in range(150):
        chance, right = drawn(rng)
        given: Any = (np.array(chance), np.array(right))
        assert expected_calibration_error(*given) == pytest.approx(float(slow_ece(chance, right)))
        assert area_under_risk_coverage(*given) == pytest.approx(float(slow_aurc(chance, right)))
        best = even_threshold(given[0], given[1])
        goods = [each for each, good in zip(chance, right, strict=True) if good]
        bads = [each for each, good in zip(chance, right, strict=True) if not good]

        def worst(threshold: float, goods: list[float] = goods, bads: list[float] = bads) -> float:
            rejected = sum(each < threshold for each in goods) / max(1, len(goods))
            return max(rejected, sum(each >= threshold for each in bads) / max(1, len(bads)))

        assert worst(best.threshold) == pytest.approx(max(best.false_accept, best.false_reject))
        assert worst(best.threshold) <= min(worst(each) for each in [*chance, 2.0]) + 1e-12


def test_a_system_that_knows_is_perfect_and_one_that_is_sure_and_wrong_is_not() -> None:
    right = np.array([True, False, True])
    assert expected_calibration_error(right.astype(float), right) == 0
    assert expected_calibration_error(1.0 - right, right) == 1
    assert even_threshold(right.astype(float), right).false_accept == 0
    nothing = np.zeros(3, dtype=bool)
    assert even_threshold(np.array([0.1, 1.0, 0.4]), nothing).false_accept == 0
    assert area_under_risk_coverage(np.array([0.1, 1.0, 0.4]), nothing) == 1


@pytest.mark.parametrize(
    ("chance", "right"), [([], []), ([0.5], [True, False]), ([float("nan")], [True]), ([1.2], [True])]
)
def test_what_is_no_probability_is_refused(chance: list[float], right: list[bool]) -> None:
    for measure in (expected_calibration_error, area_under_risk_coverage, even_threshold):
        with pytest.raises(BadInput, match=r"give one|leave out"):
            measure(np.array(chance), np.array(right))

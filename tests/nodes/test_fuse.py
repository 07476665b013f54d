"""Fusion: bounded, monotone, and fitted to where the right answers are likeliest."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy.optimize import minimize

from imagescope_agent.nodes.judging.score_fusion import (
    EVEN,
    FUSION,
    Example,
    ScoreFusion,
    fit,
    log_odds,
    standings,
)


def test_a_verdict_is_worth_its_log_odds_up_to_a_bound() -> None:
    fusion = ScoreFusion(retrieve=1, verdict=2, judge=1, most=3)
    assert fusion.worth(0.5, "Yes") == fusion.worth(0.5, "No") == 0
    assert fusion.worth(1.0, "Yes") == fusion.worth(0.0, "No") == fusion.full == 6
    assert fusion.worth(0.0, "Yes") == fusion.worth(float("nan"), "Yes") == -6
    assert fusion.worth(0.8, "Yes") == pytest.approx(2 * math.log(4)) == -fusion.worth(0.8, "No")


def test_the_score_adds_up_and_what_was_not_asked_says_nothing() -> None:
    scores = FUSION.scores(
        [{"id": "a", "retrieve": 0.3}, {"id": "b", "retrieve": 0.2}],
        [{"question": "x?", "expected": "Yes"}, {"question": "y?", "expected": "No"}],
        {"b": {"x?": 0.9, "z?": 1.0}},
    )
    assert scores["a"] == pytest.approx(FUSION.retrieve)
    assert scores["b"] == pytest.approx(-FUSION.retrieve + FUSION.verdict * log_odds(0.9, 3))


def made(queries: int, weights: tuple[float, float, float], seed: int) -> list[Example]:
    """Queries whose right candidate is drawn by the chances that `weights` give."""
    rng = random.Random(seed)
    examples = []
    for _ in range(queries):
        count = rng.randint(3, 9)
        retrieve = [rng.uniform(0.1, 0.5) for _ in range(count)]
        chances = [[rng.betavariate(0.7, 0.7) for _ in range(3)] for _ in range(count)]
        judged = [rng.random() for _ in range(count)]
        scores = [
            weights[0] * z + weights[1] * sum(log_odds(p, 3) for p in said) + weights[2] * (value - EVEN)
            for z, said, value in zip(standings(retrieve), chances, judged, strict=True)
        ]
        right = rng.choices(range(count), weights=[math.exp(score - max(scores)) for score in scores])[0]
        examples.append(
            Example(
                retrieve=retrieve,
                chances=chances,
                judged=judged,
                relevant=[place == right for place in range(count)],
            )
        )
    return examples


def test_fitting_finds_the_weights_that_made_the_data() -> None:
    fusion = fit(made(1000, (1.5, 0.7, 2.0), 1))
    assert (fusion.retrieve, fusion.verdict, fusion.judge) == pytest.approx((1.5, 0.7, 2.0), rel=0.25)


def test_fitting_is_the_maximum_of_the_likelihood() -> None:
    examples = made(60, (1.5, 0.7, 2.0), 2)

    def loss(weights: np.ndarray) -> float:
        total = 0.5e-3 * float(weights @ weights)
        for each in examples:
            said = [sum(log_odds(p, 3) for p in chances) for chances in each.chances]
            rows = np.array([standings(each.retrieve), said, np.array(each.judged) - EVEN]).T @ weights
            total += float(np.log(np.exp(rows).sum()) - rows[list(each.relevant).index(True)])
        return total

    slow = minimize(loss, np.zeros(3)).x
    fusion = fit(examples)
    assert (fusion.retrieve, fusion.verdict, fusion.judge) == pytest.approx(tuple(slow), abs=1e-3)


def test_what_the_data_do_not_tell_stays_unused() -> None:
    lonely = Example(retrieve=[0.1], chances=[[]], judged=[EVEN], relevant=[True])
    assert fit([]) == fit([lonely]) == ScoreFusion(retrieve=0, verdict=0, judge=0, most=FUSION.most)
    blind = [
        Example(retrieve=[0.4, 0.2], chances=[[0.5], [0.5]], judged=[EVEN, EVEN], relevant=[True, False]),
        Example(retrieve=[0.2, 0.4], chances=[[0.5], [0.5]], judged=[EVEN, EVEN], relevant=[False, True]),
    ]
    fusion = fit(blind)
    assert fusion.verdict == fusion.judge == 0

"""How probable it is that a first place fulfils everything: what it is told from, how it is fitted and kept."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.fulfilment import Fulfilment, evidence, fit
from imagescope_agent.state import new_turn


def turn(**values: Any) -> Any:
    questions = [
        {"question": "Is it red?", "expected": "Yes"},
        {"question": "Is there a dog?", "expected": "No"},
    ]
    found = [{"id": name, "retrieve": score} for name, score in (("a", 0.3), ("b", 0.1))]
    return {**new_turn(), "predicates": questions, "candidates": found, "ranking": ["a", "b"], **values}


def test_evidence_by_hand() -> None:
    verdicts = {"a": {"Is it red?": 0.8, "Is there a dog?": 0.6}, "b": {}}
    state = turn(verdicts=verdicts, judgement={"order": ["a"], "scores": {"a": 0.9}, "reasons": {}})
    least, total, judged, lead = evidence(state) or ()
    red, no_dog = math.log(4), math.log(0.4 / 0.6)
    assert (least, total) == pytest.approx((no_dog, red + no_dog))
    assert judged == pytest.approx(0.4)
    assert lead == pytest.approx(2.0 + 0.8 * (red + no_dog))  # two deviations of two cosines apart
    half = evidence(turn(verdicts={"a": {"Is it red?": 0.8}}))
    assert half is not None and half[:3] == pytest.approx((0.0, red, 0.0))


def test_another_image_that_fulfils_all_is_no_sign_against_the_first() -> None:
    fits = {"Is it red?": 0.8, "Is there a dog?": 0.1}
    found = [{"id": name, "retrieve": score} for name, score in (("a", 0.3), ("b", 0.3), ("c", 0.1))]
    for second in (fits, {"Is it red?": 0.8}, {"Is it red?": 0.2}):
        verdicts = {"a": fits, "b": second}
        *_, lead = evidence(turn(candidates=found, ranking=["a", "b", "c"], verdicts=verdicts)) or ()
        *_, without = evidence(turn(candidates=found, ranking=["a", "c"], verdicts=verdicts)) or ()
        assert (lead == without) == (second is fits)
    *_, lead = evidence(turn(verdicts={"a": fits, "b": fits})) or ()
    assert lead == 0.0  # nobody is left to lead


@pytest.mark.parametrize(
    "state",
    [turn(), turn(predicates=[]), turn(ranking=[]), turn(verdicts={"b": {"Is it red?": 0.9}})],
    ids=["no verdict", "no predicate", "nothing found", "another's verdict"],
)
def test_where_nothing_was_verified_nothing_is_said(state: Any) -> None:
    assert evidence(state) is None


def test_of_words_that_the_models_do_not_know_nothing_is_said() -> None:
    verdicts = {"a": {"Is it red?": 0.8}}
    assert evidence(turn(verdicts=verdicts)) is not None
    for kind in ("outside", "unchecked", "drifted"):
        told = {"step": "retrieve", "kind": kind, "detail": "'elephant'"}
        assert evidence(turn(verdicts=verdicts, notes=[told])) is None
    assert evidence(turn(verdicts=verdicts, references=["a.png", "b.png"])) is None
    assert evidence(turn(verdicts=verdicts, references=[])) is not None


def examples(count: int = 400) -> list[tuple[list[float], bool]]:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(count, 4))
    chance = 1 / (1 + np.exp(-(rows @ [2.0, 0.5, 0.0, -1.0] + 0.3)))
    return [(row.tolist(), bool(rng.random() < each)) for row, each in zip(rows, chance, strict=True)]


def test_a_fit_is_where_the_penalized_likelihood_is_flat() -> None:
    given = examples()
    model = fit(given, fitted_on="made up")
    slope = np.zeros(5)
    for row, right in given:
        slope += (right - model.chance(row)) * np.asarray([*row, 1.0])
    assert slope[:4] == pytest.approx(np.asarray(model.weights), abs=1e-6)  # the pull of a ridge of 1
    assert slope[4] == pytest.approx(0, abs=1e-4)  # so the mean chance is the share that is right
    assert model.weights == pytest.approx((2.0, 0.5, 0.0, -1.0), abs=0.5)
    assert model.fitted_on == "made up (400 queries)"


def test_examples_that_a_line_parts_still_have_a_fit() -> None:
    model = fit([([x, x, 0.0, 0.0], x > 0) for x in (-2.0, -1.0, 1.0, 2.0)], fitted_on="four")
    assert 0.5 < model.chance([1.0, 1.0, 0.0, 0.0]) < model.chance([2.0, 2.0, 0.0, 0.0]) < 1
    assert model.chance([-1e6, -1e6, 0, 0]) == 0.0 and model.chance([1e6, 1e6, 0, 0]) == 1.0


@pytest.mark.parametrize("right", [True, False])
def test_judged_queries_of_one_sort_are_refused(right: bool) -> None:
    with pytest.raises(BadInput, match="some that are not"):
        fit([([0.0] * 4, right)] * 3, fitted_on="one sort")


def test_a_model_is_kept_and_a_damaged_one_refused() -> None:
    model = fit(examples(50), fitted_on="made up")
    assert Fulfilment.from_json(model.to_json()) == model
    kept = json.loads(model.to_json())
    damaged = [
        {**kept, "weights": kept["weights"][:2]},
        {**kept, "weights": ["x"] * 4},
        {**kept, "bias": float("nan")},
        {**kept, "features": ["least"]},
        {**kept, "fitted_on": 7},
        {**kept, "threshold": 2},
        {**kept, "threshold": float("nan")},
        {**kept, "threshold": None},
        {"weights": kept["weights"]},
    ]
    for text in [*map(json.dumps, damaged), "{", "[]", "7"]:
        with pytest.raises(BadInput, match="calibrate again"):
            Fulfilment.from_json(text)

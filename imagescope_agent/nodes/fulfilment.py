"""The probability that an image fulfils a whole query: a logistic model of its verdicts, its judge and its lead.

The model is fitted on queries whose answers are known, of collections that are not evaluated, and is kept as JSON with
what it was fitted on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.judging.score_fusion import EVEN, FUSION, log_odds
from imagescope_agent.nodes.verify import satisfies
from imagescope_agent.state import State, references_of

FEATURES = ("least", "sum", "judge", "lead")
MOST = 1e3  # of a weight; a fit stays far below
ROUNDS = 50
#: Kinds of note that say that a part of the query was not, or not surely, checked.
UNHEEDED: frozenset[str] = frozenset({"drifted", "outside", "unchecked"})
LARGEST = 2**16  # bytes of a calibration


@dataclass(frozen=True, kw_only=True)
class Fulfilment:
    """Weights of the log-odds.

    Args:
        weights: of `FEATURES`, in their order.
        bias: of the log-odds.
        fitted_on: in words, with the number of queries.
        threshold: the probability below which nothing fits, unless the settings say otherwise.
    """

    weights: tuple[float, ...]
    bias: float
    fitted_on: str
    threshold: float = 0.5

    def chance(self, features: Sequence[float]) -> float:
        """The probability, from 0 to 1, of features as `evidence` gives them."""
        odds = self.bias + sum(weight * each for weight, each in zip(self.weights, features, strict=True))
        return _logistic(odds)

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return json.dumps({"features": list(FEATURES), **asdict(self)}, indent=2)

    @classmethod
    def load(cls, path: Path) -> Fulfilment:
        """Read the file that a profile names.

        Raises:
            BadInput: there is none, or it is damaged.
        """
        try:
            text = read_file(path.expanduser(), LARGEST).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"cannot read the calibration {str(path)!r}: {error}; make one with `imagescope calibrate`"
            ) from error
        return cls.from_json(text)

    @classmethod
    def from_json(cls, text: str) -> Fulfilment:
        """Read a kept model; it may be a stranger's.

        Raises:
            BadInput: it is damaged, or of other features.
        """
        try:
            values = parse_json(text, deepest=3)
            weights, bias, told = values["weights"], values["bias"], values["fitted_on"]
            numbers, threshold = [float(each) for each in [*weights, bias]], float(values["threshold"])
            sound = values["features"] == list(FEATURES) and len(weights) == len(FEATURES)
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(f"the calibration is damaged ({error}); calibrate again") from error
        if not sound or not isinstance(told, str) or not all(abs(each) <= MOST for each in numbers):
            raise BadInput("the calibration is of other features or out of range; calibrate again")
        if not 0 <= threshold <= 1:
            raise BadInput(f"the calibration's threshold is {threshold}, no probability; calibrate again")
        return cls(weights=tuple(numbers[:-1]), bias=numbers[-1], fitted_on=told, threshold=threshold)


def evidence(state: State) -> tuple[float, ...] | None:
    """What is known about the first place of a finished run, in the order of `FEATURES`.

    The least and the sum of the log-odds of its verdicts being as expected (0 for one that was not asked), the judge's
    score above `EVEN` (0 without one), and its lead in the fused score over the best that is not known to fulfil all as
    well (0 without such a one).
    None where nothing was verified, where a note of a kind of `UNHEEDED` says that the models do not know or heed all
    words or pictures, and with several references, which no calibration was fitted on: then nothing can be said.
    """
    if any(each["kind"] in UNHEEDED for each in state.get("notes", [])) or len(references_of(state)) > 1:
        return None
    predicates, verdicts = state["predicates"], state.get("verdicts", {})
    ranking = state["ranking"] or state["ranking_verify"]
    answers = verdicts.get(ranking[0], {}) if ranking else {}
    if not any(each["question"] in answers for each in predicates):
        return None
    odds = [_odds(answers.get(each["question"], EVEN), each["expected"]) for each in predicates]
    judged = state["judgement"]["scores"].get(ranking[0], EVEN) - EVEN
    fused = FUSION.scores(state["candidates"], predicates, verdicts)
    doubtful = [
        fused[name]
        for name in ranking[1:]
        if name in fused and not all(satisfies(verdicts.get(name, {}), each) for each in predicates)
    ]
    first = fused.get(ranking[0])
    lead = first - max(doubtful) if first is not None and doubtful else 0.0
    return min(odds), sum(odds), judged, lead


def fit(
    examples: Sequence[tuple[Sequence[float], bool]], *, fitted_on: str, ridge: float = 1.0
) -> Fulfilment:
    """Fit by Newton's method (penalized maximum likelihood).

    Args:
        examples: evidence of a first place, and whether it fulfils its query.
        fitted_on: in words.
        ridge: penalty of half the squared weights; the bias has none.

    Raises:
        BadInput: there is no right or no wrong example.
    """
    right = np.asarray([good for _, good in examples], dtype=float)
    if not 0 < right.sum() < len(right):
        raise BadInput(
            f"{int(right.sum())} of {len(right)} judged queries are fulfilled; give some that are and some that are not"
        )
    rows = np.asarray([[*features, 1.0] for features, _ in examples], dtype=float)
    penalty = ridge * np.diag([1.0] * len(FEATURES) + [1e-6])
    weights = np.zeros(len(FEATURES) + 1)
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (right - chance) - penalty @ weights
        bend = (rows.T * (chance * (1 - chance))) @ rows + penalty
        step = np.linalg.solve(bend, slope)
        weights = weights + step / max(1.0, float(np.abs(step).max()))  # a full step may overshoot
        if float(np.abs(step).max()) < 1e-10:
            break
    *found, bias = map(float, weights)
    return Fulfilment(weights=tuple(found), bias=bias, fitted_on=f"{fitted_on} ({len(right)} queries)")


def _odds(yes: float, expected: str) -> float:
    return log_odds(yes if expected == "Yes" else 1.0 - yes, FUSION.most)


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))

"""Score fusion: one log-odds score from retrieval, verdicts and judge.

The score is in log-odds: softmax over a query's candidates gives the chance of each to be the wanted one. So the
difference of two scores says how certain their order is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imagescope_agent.state import Candidate, Predicate, Verdicts

EVEN = 0.5  # what a judge's score is when it says nothing
#: Sure failures after which a candidate cannot fit: one verdict in twenty is wrong, two in four hundred.
RULED_OUT = 2
FRONT = 20  # candidates that tell how far cosines differ; the same however many are retrieved


@dataclass(frozen=True, kw_only=True)
class ScoreFusion:
    """Weights of the fused score.

    Args:
        retrieve: of a standard deviation of cosine (see `standings`).
        verdict: of a unit of log-odds of a verdict.
        judge: of a judge's score, from 0 to 1.
        most: log-odds beyond which a verdict is not believed: 3 is one wrong answer in twenty.
    """

    retrieve: float
    verdict: float
    judge: float
    most: float

    @property
    def full(self) -> float:
        """The largest contribution of a verdict."""
        return self.verdict * self.most

    def worth(self, yes: float, expected: str) -> float:
        """The contribution of a verdict P(Yes) to the score; negative where it contradicts, 0 at 0.5."""
        chance = yes if expected == "Yes" else 1.0 - yes
        return self.verdict * log_odds(chance, self.most)

    def rules_out(self, predicates: Sequence[Predicate], answers: Mapping[str, float]) -> bool:
        """Whether a candidate surely fails `RULED_OUT` predicates, or all."""
        worths = [self.worth(answers.get(each["question"], EVEN), each["expected"]) for each in predicates]
        return bool(worths) and sum(each <= -self.full for each in worths) >= min(RULED_OUT, len(worths))

    def scores(
        self, candidates: Sequence[Candidate], predicates: Sequence[Predicate], verdicts: Verdicts
    ) -> dict[str, float]:
        """The fused score of each candidate by id; unasked questions contribute nothing."""
        return {
            name: round(start + self._said(predicates, verdicts.get(name, {})), 9)
            for name, start in self.starts(candidates).items()
        }

    def starts(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        """The contribution of retrieval by id."""
        found = standings([each["retrieve"] for each in candidates])
        return {each["id"]: self.retrieve * z for each, z in zip(candidates, found, strict=True)}

    def _said(self, predicates: Sequence[Predicate], answers: Mapping[str, float]) -> float:
        return sum(
            self.worth(answers[predicate["question"]], predicate["expected"])
            for predicate in predicates
            if predicate["question"] in answers
        )


@dataclass(frozen=True, kw_only=True)
class Example:
    """One query's candidates as a training example.

    Args:
        retrieve: (n,) cosine of each candidate.
        chances: n lists of P(what is expected), one a verdict; fewer where fewer were asked.
        judged: (n,) the judge's score, `EVEN` where it did not look.
        relevant: (n,) whether the candidate is right.
    """

    retrieve: Sequence[float]
    chances: Sequence[Sequence[float]]
    judged: Sequence[float]
    relevant: Sequence[bool]


#: Until fitted anew: of verdicts that are right nineteen times in twenty, whose questions overlap a little.
FUSION = ScoreFusion(retrieve=1.0, verdict=0.8, judge=4.0, most=3.0)


def standings(cosines: Sequence[float]) -> list[float]:
    """Z-scores of cosines by mean and deviation of the best `FRONT`: embedders differ in scale."""
    best = sorted(cosines, reverse=True)[:FRONT]
    middle, spread = (float(np.mean(best)), float(np.std(best))) if best else (0.0, 0.0)
    return [(cosine - middle) / spread if spread > 1e-9 else 0.0 for cosine in cosines]


def log_odds(chance: float, most: float) -> float:
    """log(p / (1 - p)), at most `most` either way; a chance that is no number counts as 0."""
    if not chance > 0:
        return -most
    if chance >= 1:
        return most
    return max(-most, min(most, math.log(chance / (1 - chance))))


def fit(examples: Iterable[Example], *, most: float = FUSION.most, ridge: float = 1e-3) -> ScoreFusion:
    """Fit the weights: a conditional logit by Newton's method.

    Queries without a right or without a wrong candidate teach nothing. A weight that the data do not determine
    (a judge that never looked) stays 0 by the ridge; negative ones are set to 0, since no stage speaks against
    what it favours.

    Args:
        examples: queries with known answers, of seeds that are not evaluated.
        most: as `ScoreFusion.most`.
        ridge: penalty of the squared weights, in units of a query.
    """
    tables = [
        (_features(each, most), np.asarray(each.relevant, dtype=float) / sum(each.relevant))
        for each in examples
        if 0 < sum(each.relevant) < len(each.relevant)
    ]
    weights = np.zeros(3)
    for _ in range(100):
        gradient, curvature = -ridge * weights, -ridge * np.eye(3)
        for features, wanted in tables:
            chance = _softmax(features @ weights)
            centred = features - chance @ features
            gradient = gradient + centred.T @ (wanted - chance)
            curvature = curvature - (centred.T * chance) @ centred
        step = np.linalg.solve(curvature, gradient)
        # far from the maximum a full step may overshoot
        weights = weights - step / max(1.0, float(np.abs(step).max()) / 5)
        if float(np.abs(step).max()) < 1e-9:
            break
    retrieve, verdict, judge = (max(0.0, float(weight)) for weight in weights)
    return ScoreFusion(retrieve=retrieve, verdict=verdict, judge=judge, most=most)


def _features(example: Example, most: float) -> np.ndarray:
    verdicts = [sum(log_odds(chance, most) for chance in chances) for chances in example.chances]
    judged = [score - EVEN for score in example.judged]
    return np.asarray([standings(example.retrieve), verdicts, judged], dtype=float).T


def _softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max())
    chances: np.ndarray = weights / weights.sum()
    return chances

"""Verify only what can still change the top: the same best alpha, in the same order, as asking everything."""

from __future__ import annotations

from collections.abc import Sequence


class EarlyStop:
    """Chooses the next questions; asks nobody itself.

    Candidates rank by satisfied predicates, ties in first-stage order. The optimistic ranking counts what was not
    asked as satisfied. Once its first alpha are answered in full, no other candidate can pass them: their true
    counts are already at least what any other could reach. So asking always goes on among those alpha, and
    whoever fails falls back at once.

    Args:
        count: candidates, numbered in first-stage order.
        questions: predicates about each.
        alpha: how many of the best must be exact.
    """

    def __init__(self, count: int, questions: int, alpha: int) -> None:
        self.count, self.questions, self.alpha = count, questions, alpha
        self.answers: list[dict[int, bool]] = [{} for _ in range(count)]

    def tell(self, candidate: int, question: int, satisfied: bool) -> None:
        """Take down an answer; also one that was known before."""
        self.answers[candidate][question] = satisfied

    def ranking(self) -> list[int]:
        """The optimistic ranking; its first alpha are exact when `next` has nothing to ask."""
        return sorted(range(self.count), key=lambda candidate: (self._failed(candidate), candidate))

    def next(self, at_once: int = 1) -> list[tuple[int, int]]:
        """(candidate, question) pairs to ask now, up to `at_once` a candidate; empty when the top is certain.

        The question that failed most often so far comes first: it decides most.
        """
        hardest = sorted(range(self.questions), key=self._hope)
        return [
            (candidate, question)
            for candidate in self.ranking()[: self.alpha]
            for question in [each for each in hardest if each not in self.answers[candidate]][:at_once]
        ]

    @property
    def asked(self) -> int:
        """How many answers are known."""
        return sum(map(len, self.answers))

    def _failed(self, candidate: int) -> int:
        return sum(not satisfied for satisfied in self.answers[candidate].values())

    def _hope(self, question: int) -> tuple[float, int]:
        """The share of candidates that satisfied the question, one of two before anything is known."""
        known: Sequence[bool] = [answers[question] for answers in self.answers if question in answers]
        return (1 + sum(known)) / (2 + len(known)), question

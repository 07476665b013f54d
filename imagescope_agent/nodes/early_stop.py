"""Verify only what can still change the top: the same best alpha, in the same order, as asking everything."""

from __future__ import annotations

from collections.abc import Sequence


class EarlyStop:
    """Chooses the next questions; asks nobody itself.

    A candidate's score is its head start plus the worth of its answers; ties stay in first-stage order. The
    optimistic ranking counts what was not asked as worth the most. Once its first alpha are answered in full, no
    other candidate can pass them: their true scores are already at least what any other could reach. So asking
    always goes on among those alpha, and whoever disappoints falls back at once.

    Args:
        count: candidates, numbered in first-stage order.
        questions: predicates about each.
        alpha: how many of the best must be exact.
        start: head start of each candidate, in the unit of `worth`; none when None.
        most: what an answer is worth at most; satisfied predicates are counted when it is 1.
    """

    def __init__(
        self,
        count: int,
        questions: int,
        alpha: int,
        *,
        start: Sequence[float] | None = None,
        most: float = 1.0,
    ) -> None:
        self.count, self.questions, self.alpha, self.most = count, questions, alpha, most
        self.start = [0.0] * count if start is None else list(start)
        self.answers: list[dict[int, float]] = [{} for _ in range(count)]

    def tell(self, candidate: int, question: int, worth: float) -> None:
        """Take down what an answer is worth; also one that was known before."""
        self.answers[candidate][question] = min(worth, self.most)

    def ranking(self, unknown: float | None = None) -> list[int]:
        """By score, with `unknown` (at most `most`, the default) for every question that was not asked.

        When `next` has nothing to ask, the first alpha are exact whatever `unknown` is.
        """
        return sorted(range(self.count), key=lambda each: (-self.score(each, unknown), each))

    def score(self, candidate: int, unknown: float | None = None) -> float:
        """The head start and all answers together; rounded, so that the order of adding decides nothing."""
        known = self.answers[candidate]
        guess = self.most if unknown is None else unknown
        answers = (known.get(question, guess) for question in range(self.questions))
        return round(self.start[candidate] + sum(answers), 9)

    def next(self, at_once: int = 1) -> list[tuple[int, int]]:
        """(candidate, question) pairs to ask now, up to `at_once` a candidate; empty when the top is certain.

        The question that disappointed most often so far comes first: it decides most.
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

    def _hope(self, question: int) -> tuple[float, int]:
        """The share of candidates that satisfied the question, one of two before anything is known."""
        known = [answers[question] > 0 for answers in self.answers if question in answers]
        return (1 + sum(known)) / (2 + len(known)), question

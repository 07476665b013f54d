"""Which work of an engine is next: scoring or decoding, so that every caller gets the same share of its time."""

from __future__ import annotations

from typing import Literal

Work = Literal["score", "decode"]


class FairShares:
    """Fair queuing of two kinds of work by the time they took a caller (virtual time, as in Parekh and Gallager, 1993).

    Each kind has a clock that advances by the seconds of a batch, divided by the callers that it served. The kind whose
    clock is behind is next. Within a kind callers take turns. So as long as it has work, no caller falls behind an
    equal share of the engine by more than one batch of each kind: however many answers others wait for, a reply goes
    on, and however long others' replies are, an answer comes.
    """

    def __init__(self) -> None:
        self._clocks: dict[Work, float] = {"score": 0.0, "decode": 0.0}
        self._waited: set[Work] = set()

    def next(self, *, scoring: bool, decoding: bool) -> Work | None:
        """The kind of work to do now, of those that wait.

        Args:
            scoring: whether answers are waited for.
            decoding: whether replies are.
        """
        waiting: set[Work] = {name for name, there in (("score", scoring), ("decode", decoding)) if there}  # type: ignore[misc]
        for name in waiting - self._waited:
            # what had nothing to do has not saved up time
            self._clocks[name] = max(self._clocks.values())
        self._waited = waiting
        return min(sorted(waiting, reverse=True), key=lambda name: self._clocks[name], default=None)

    def spent(self, work: Work, seconds: float, callers: int) -> None:
        """Count a batch that took so many seconds for so many callers."""
        self._clocks[work] += seconds / max(1, callers)

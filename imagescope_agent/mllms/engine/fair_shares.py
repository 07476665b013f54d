"""Which work of an engine is next, so that every caller gets the same share of its time: the kind, and whose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

Work = Literal["score", "decode"]


class CallerShares:
    """Seconds that the engine worked for each caller; who has had the least is served first (least attained service).

    So as long as it has work, no caller falls behind an equal share of the engine by more than one batch of each kind
    of work: however many answers others wait for, a reply goes on, and however long others' replies are, an answer
    comes. A caller that comes starts at the clock, which goes by the seconds of each batch over all who were there:
    nobody who was away has saved up time, and however many come, who has waited is before them. Those who are away are
    forgotten once the clock has come to what they had. Not thread-safe.
    """

    def __init__(self) -> None:
        self._seconds: dict[object, float] = {}
        self._job: dict[object, float] = {}  # seconds of a caller's job, of its last batch
        self._clock = 0.0

    def seconds(self, caller: object) -> float:
        """What a caller has had."""
        return self._seconds.get(caller, self._clock)

    def job_seconds(self, caller: object) -> float:
        """What another job of the caller is expected to take."""
        return self._job.get(caller, 0.0)

    def next(self, *, scoring: Iterable[object], decoding: Iterable[object]) -> Work | None:
        """The kind of work to do now, that of the caller who has had least; None where nobody waits.

        Args:
            scoring: who waits for answers.
            decoding: who waits for replies, begun or not.
        """
        waiting: list[tuple[float, int, Work]] = []
        for place, (work, callers) in enumerate((("score", scoring), ("decode", decoding))):
            least = min((self._seconds.setdefault(caller, self._clock) for caller in callers), default=None)
            waiting += [] if least is None else [(least, place, work)]  # type: ignore[list-item]
        return min(waiting)[2] if waiting else None

    def spent(
        self, seconds: float, work: Mapping[object, tuple[float, int]], there: Collection[object]
    ) -> None:
        """Count a batch.

        Args:
            seconds: that it took.
            work: by caller, its tokens in the batch and its jobs.
            there: callers that have work left.
        """
        tokens = sum(each for each, _ in work.values()) or 1
        for caller, (own, jobs) in work.items():
            took = seconds * own / tokens
            self._seconds[caller] = self.seconds(caller) + took
            self._job[caller] = took / max(1, jobs)
        self._clock += seconds / len({*work, *there}) if work or there else 0.0
        for caller in there:
            self._seconds.setdefault(caller, self._clock)
        gone = [each for each, had in self._seconds.items() if had <= self._clock and each not in there]
        for caller in gone:
            del self._seconds[caller]
            self._job.pop(caller, None)

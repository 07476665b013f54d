"""SiftRank (arXiv 2512.06155): orders of shuffled batches until mean ranks converge, then again on the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from imagescope_agent.judges.elicitation import orders
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class SiftRank(Strategy):
    """Trials of shuffled batches; an item's score is its mean rank in its batches.

    Args:
        size: items of a batch; what is left over is skipped, never the same items in the first two trials.
        settled: how many trials in a row must agree on the order, or on the elbow of the scores.
        most: most trials of one level.
    """

    size: int = 10
    settled: int = 5
    most: int = 50

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The converged order; items above the elbow are ranked again while they exceed one batch."""
        return await self._sift(session, rng, list(session.items)), {}

    async def _sift(self, session: JudgeSession, rng: Random, items: list[int]) -> list[int]:
        places: dict[int, list[float]] = {item: [] for item in items}
        history: list[list[int]] = []
        elbows: list[int] = []
        skipped: set[int] = set()
        while len(history) < self.most and session.left != 0:
            batches, left_over = self._trial(rng, items, skipped)
            skipped = left_over if not history else set()
            for order in await orders(session, batches):
                for place, item in enumerate(order or []):
                    places[item].append(place / max(1, len(batches[0]) - 1))
            history.append(_by_mean(items, places))
            elbows.append(elbow([_mean(places[item]) for item in history[-1]]))
            if self._is_settled(history, elbows, len(items)):
                break
        order = history[-1] if history else items
        cut = elbows[-1] if elbows else 0
        if self.size < cut < len(items):
            return await self._sift(session, rng, sorted(order[:cut])) + order[cut:]
        return order

    def _trial(
        self, rng: Random, items: Sequence[int], skipped: set[int]
    ) -> tuple[list[list[int]], set[int]]:
        size = min(self.size, len(items))
        shuffled = rng.sample(items, len(items))
        shuffled.sort(key=lambda item: item not in skipped)  # what the first trial left over comes first
        full = len(shuffled) // size * size
        batches = [shuffled[at : at + size] for at in range(0, full, size)]
        return batches, set(shuffled[full:])

    def _is_settled(self, history: list[list[int]], elbows: list[int], count: int) -> bool:
        if len(history) < self.settled:
            return False
        last = elbows[-self.settled :]
        same_order = all(order == history[-1] for order in history[-self.settled :])
        return same_order or (count > self.size and max(last) - min(last) <= 0.05 * count)


def elbow(scores: Sequence[float]) -> int:
    """How many sorted scores stand above the sharpest bend: the least smoothed second derivative, plus one."""
    count = len(scores)
    if count < 4:
        return count
    sigma = max(1.0, 0.03 * count)
    reach = np.arange(-int(4 * sigma), int(4 * sigma) + 1)
    kernel = np.exp(-0.5 * (reach / sigma) ** 2)
    padded = np.pad(np.asarray(scores, dtype=float), len(reach) // 2, mode="edge")
    smooth = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return int(np.argmin(np.diff(smooth, 2))) + 2


def _by_mean(items: Sequence[int], places: dict[int, list[float]]) -> list[int]:
    return sorted(items, key=lambda item: (round(_mean(places[item]), 9), item))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.5


judge = SiftRank(summary="orders of shuffled batches of 10 until they settle (SiftRank); at least 5 trials")

"""Setwise ranking (arXiv 2310.09497): the best of several in one call, with heapsort, bubble sort or a tournament."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from imagescope_agent.judges import sorting
from imagescope_agent.judges.elicitation import best
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class Setwise(Strategy):
    """Sorts the first ranks by "which of these is best?".

    Args:
        shown: how many candidates one question shows, 2 to 26.
        rounds: in how many rotations, with rotated labels, each question is asked; the majority counts.
        by: "heap", "bubble" or "tournament".
    """

    shown: int = 4
    rounds: int = 1
    by: str = "heap"

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return self.shown

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The `top` best, the others in first-stage order."""

        async def choose(items: Sequence[int]) -> int:
            return await best(session, items, rounds=self.rounds, rng=rng if self.rounds > 1 else None)

        if self.by == "tournament":
            return await sorting.tournament(session.items, choose, size=self.shown, top=self.top), {}
        sort = sorting.heapsort if self.by == "heap" else sorting.bubblesort
        return await sort(session.items, choose, children=self.shown - 1, top=self.top), {}


heap = Setwise(summary="the best of 4 at a time, by heapsort (setwise)", by="heap")
bubble = Setwise(summary="the best of 4 at a time, by bubble passes (setwise)", by="bubble")
tournament = Setwise(summary="the best of 5 at a time, winners advance (ListT5)", by="tournament", shown=5)
heap_shuffled = replace(
    heap,
    summary="setwise heapsort, every question in two orders under other labels; twice the calls",
    rounds=2,
    order_control=True,
)

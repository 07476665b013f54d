"""Pairwise ranking prompting (PRP, arXiv 2306.17563): each pair in both orders; contradictions are ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from random import Random

from imagescope_agent.judges import aggregation, sorting
from imagescope_agent.judges.elicitation import better, pairs
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class AllPairs(Strategy):
    """All pairs in both orders, k(k-1) calls in one batch, aggregated to one ranking.

    Args:
        aggregate: preference matrix -> order.
        soft: use the mean preference of both orders instead of win, tie or loss.
    """

    aggregate: Callable[[aggregation.Matrix], list[int]]
    soft: bool = True

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return 2

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The aggregated order; scores are the mean preference over the others, 0 to 1."""
        wanted = list(combinations(session.items, 2))
        found = await pairs(session, wanted)
        known = {
            pair: preference.mean if self.soft else preference.decided
            for pair, preference in zip(wanted, found, strict=True)
        }
        count = len(session.items)
        w = aggregation.matrix(count, known)
        scores = {item: (sum(w[item]) - 0.5) / (count - 1) for item in session.items}
        return self.aggregate(w), scores


@dataclass(frozen=True, kw_only=True)
class Heap(Strategy):
    """Heapsort with about k log k comparisons of two calls each."""

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return 2

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The `top` best, the others in first-stage order."""
        best = sorting.one_by_one(partial(better, session))
        return await sorting.heapsort(session.items, best, children=2, top=self.top), {}


@dataclass(frozen=True, kw_only=True)
class Sliding(Strategy):
    """Bubble passes from the last rank up; a candidate rises only when it wins in both orders."""

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return 2

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """After `top` passes the first `top` places are sorted."""
        best = sorting.one_by_one(partial(better, session))
        return await sorting.bubblesort(session.items, best, children=1, top=self.top), {}


allpair = AllPairs(
    summary="pairwise ranking prompting, all pairs in both orders, by wins (PRP); k(k-1) calls",
    aggregate=aggregation.copeland,
    soft=False,
    order_control=True,
)
bradley_terry = AllPairs(
    summary="all pairs in both orders, by fitted strength (Bradley-Terry); k(k-1) calls",
    aggregate=aggregation.bradley_terry,
    order_control=True,
)
kemeny = AllPairs(
    summary="all pairs in both orders, by the order that disagrees least (Kemeny); k(k-1) calls",
    aggregate=aggregation.kemeny,
    order_control=True,
)
tsp = AllPairs(
    summary="all pairs in both orders, by the heaviest path through them (TSPRank); k(k-1) calls",
    aggregate=aggregation.best_path,
    order_control=True,
)
heap = Heap(
    summary="pairwise ranking prompting by heapsort; about 2 k log k calls",
    order_control=True,
)
sliding = Sliding(
    summary="pairwise ranking prompting by bubble passes; about 20 k calls",
    order_control=True,
)

"""Listwise ranking in one call or in sliding windows (RankGPT, arXiv 2304.09542; FIRST, arXiv 2406.15657)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from imagescope_agent.judges import elicitation, sorting
from imagescope_agent.judges.aggregation import borda_of_orders
from imagescope_agent.judges.position_debiasing import presentations
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class Windows(Strategy):
    """Base class of sliding-window rankers.

    Args:
        window: candidates in one call; all when there are not more.
        stride: how far the window moves up; more than `window` counts as `window`.
    """

    window: int = 20
    stride: int = 10

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The order after the last window; an unreadable window keeps its order."""
        reorder = partial(self.reorder, session, rng)
        return await sorting.slide(session.items, reorder, window=self.window, stride=self.stride), {}

    async def reorder(self, session: JudgeSession, rng: Random, items: list[int]) -> list[int]:
        """One window in its new order."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Listwise(Windows):
    """The model generates the order.

    Args:
        rounds: in how many rotations each window is shown; their orders are joined by mean place (Borda).
    """

    rounds: int = 1

    async def reorder(self, session: JudgeSession, rng: Random, items: list[int]) -> list[int]:
        """One window in its new order."""
        shown = presentations(items, self.rounds, rng if self.rounds > 1 else None)
        found = [order for order in await self.elicit(session, [each.items for each in shown]) if order]
        return _by_place(items, found)

    async def elicit(self, session: JudgeSession, shown: Sequence[Sequence[int]]) -> list[list[int] | None]:
        """An order of each presentation."""
        return await elicitation.orders(session, shown)


@dataclass(frozen=True, kw_only=True)
class First(Windows):
    """One token is decoded, and the probabilities of all labels order the window (arXiv 2406.15657)."""

    async def reorder(self, session: JudgeSession, rng: Random, items: list[int]) -> list[int]:
        """One window in its new order."""
        return placed_within(items, await elicitation.first_token(session, items))


def placed_within(items: list[int], scores: dict[int, float]) -> list[int]:
    """A window by falling score; ties keep the order of the window, not of the first stage."""
    order = sorted(range(len(items)), key=lambda place: (-round(scores.get(items[place], 0.0), 9), place))
    return [items[place] for place in order] if scores else items


def _by_place(items: list[int], orders: list[list[int]]) -> list[int]:
    return placed_within(items, borda_of_orders(orders))


listwise = Listwise(summary="all in one call, above 20 in sliding windows (RankGPT)")
listwise_shuffled = replace(
    listwise,
    summary="listwise in three rotations, joined by mean place (Borda); three times the calls",
    rounds=3,
)
first = First(summary="all in one call of one token: by the probability of each label (FIRST)")

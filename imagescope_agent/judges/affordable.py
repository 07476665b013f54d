"""The best strategy that the budget allows: all pairs in both orders, else one look at each, else one look at all."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from imagescope_agent.judges import listwise, pointwise, prp
from imagescope_agent.judges.session import Session
from imagescope_agent.judges.strategy import Found, Strategy


@dataclass(frozen=True, kw_only=True)
class Affordable(Strategy):
    """Spends what is there: k(k-1) calls, or k, or 1, or none."""

    async def rank(self, session: Session, rng: Random) -> Found:
        """By the strategy that `choice` names."""
        return await self.choice(len(session.items), session.left).rank(session, rng)

    def choice(self, count: int, left: int | None) -> Strategy:
        """The dearest strategy whose calls for `count` candidates do not exceed `left`."""
        if left is None or left >= count * (count - 1):
            return prp.bradley_terry
        return pointwise.pointwise if left >= count else listwise.listwise


judge = Affordable(summary="all pairs, else each on its own, else all in one call, as --budget allows")

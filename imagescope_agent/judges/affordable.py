"""Chooses the strategy by budget: all pairs in both orders, else pointwise, else listwise."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from imagescope_agent.judges import listwise, pointwise, prp
from imagescope_agent.judges.position_debiasing import LABELS
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class Affordable(Strategy):
    """Bradley-Terry with k(k-1) calls, pointwise with k, listwise with 1, as the budget allows."""

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The order that the chosen strategy gives."""
        return await (await self.choice(session)).rank(session, rng)

    async def choice(self, session: JudgeSession) -> Strategy:
        """The most expensive strategy whose calls and tokens are within the budget."""
        count = len(session.items)
        pair = session.request("best", session.items[:2], LABELS[:2], labels=", ".join(LABELS[:2]))
        if await session.affords(pair, count * (count - 1)):
            return prp.bradley_terry
        single = session.request("evaluate", session.items[:1])
        return pointwise.pointwise if await session.affords(single, count) else listwise.listwise


judge = Affordable(summary="all pairs, else each on its own, else all in one call, as --budget allows")

"""The best strategy that the budget allows: all pairs in both orders, else one look at each, else one look at all."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from imagescope_agent.judges import listwise, pointwise, prp
from imagescope_agent.judges.position_debiasing import LABELS
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import Found, Strategy


@dataclass(frozen=True, kw_only=True)
class Affordable(Strategy):
    """Spends what is there: k(k-1) calls, or k, or 1, or none."""

    async def rank(self, session: JudgeSession, rng: Random) -> Found:
        """By the strategy that `choice` names."""
        return await (await self.choice(session)).rank(session, rng)

    async def choice(self, session: JudgeSession) -> Strategy:
        """The dearest strategy whose calls, and tokens, are within the budget."""
        count = len(session.items)
        pair = session.request("best", session.items[:2], LABELS[:2], labels=", ".join(LABELS[:2]))
        if await session.affords(pair, count * (count - 1)):
            return prp.bradley_terry
        single = session.request("evaluate", session.items[:1])
        return pointwise.pointwise if await session.affords(single, count) else listwise.listwise


judge = Affordable(summary="all pairs, else each on its own, else all in one call, as --budget allows")

"""Pointwise ranking: P(yes, it satisfies the query), or an integer grade from 0 to 10 (ERank, arXiv 2509.00520).

The reranking of PinPoint (arXiv 2603.04598), as its authors published it, is `pointwise` in other words: the share of
P(True) of P(True) + P(False), one call for each of the 20 best. There a candidate without an answer falls behind all
others; here it keeps its rank, with a note.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.judges import elicitation
from imagescope_agent.judges.aggregation import placed
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class Pointwise(Strategy):
    """One call a candidate, in one batch; a candidate without an answer keeps its rank.

    Args:
        score: which question: `elicitation.points` or `elicitation.grades`.
    """

    score: Callable[[JudgeSession, Sequence[int]], Awaitable[dict[int, float]]]

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return 1

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """By falling score, ties in first-stage order."""
        scores = await self.score(session, session.items)
        return placed(session.items, scores), scores


pointwise = Pointwise(
    summary="P(yes) of each candidate on its own; k calls",
    score=elicitation.points,
    order_control=True,
)
grades = Pointwise(
    summary="a whole grade from 0 to 10 of each candidate on its own (ERank); k calls",
    score=elicitation.grades,
    order_control=True,
)

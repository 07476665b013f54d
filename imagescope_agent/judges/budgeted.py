"""Two stages within the budget: P(yes) of each candidate, then pairwise comparisons of the best (EchoRank)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random

from imagescope_agent.judges.aggregation import placed
from imagescope_agent.judges.elicitation import better, points
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class Budgeted(Strategy):
    """Pointwise yes or no, then pairwise bubble passes over the candidates with yes.

    Args:
        calls: most calls for each candidate when the task has no budget.
    """

    calls: int = 4

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return 2

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """Yes before unasked before no, each by P(yes); then the front by pairs while calls are left."""
        count = len(session.items)
        budget = self.calls * count if session.left is None else min(session.left, self.calls * count)
        asked = session.items[: min(count, (budget + 1) // 2)]
        scores = await points(session, asked) if asked else {}
        order = placed(session.items, {item: scores.get(item, 0.5) for item in session.items})
        duels = (budget - len(asked)) // 2
        front = min(max(2, sum(value > 0.5 for value in scores.values())), duels + 1)
        best = partial(better, session)
        for done in range(min(self.top, front - 1)):
            for place in range(front - 1, done, -1):
                if duels == 0:
                    return order, scores
                duels -= 1
                if await best(order[place - 1], order[place]) == order[place]:
                    order[place - 1 : place + 1] = order[place], order[place - 1]
        return order, scores


judge = Budgeted(
    summary="half the budget on P(yes), half on pairs of the best (EchoRank); never more than --budget",
    order_control=True,
)

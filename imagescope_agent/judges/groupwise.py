"""GroupRank (arXiv 2511.11653): grades of every member of shuffled groups, averaged over rounds."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from imagescope_agent.judges.aggregation import mean, placed
from imagescope_agent.judges.elicitation import group_grades
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy


@dataclass(frozen=True, kw_only=True)
class Groupwise(Strategy):
    """Mean grade over `rounds` shuffles; an unreadable reply is left out of the mean.

    Args:
        size: members of a group.
        rounds: how often all are graded; rounds * ceil(k / size) calls.
    """

    size: int = 10
    rounds: int = 2

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """By mean grade, ties in first-stage order."""
        groups: list[list[int]] = []
        for _ in range(self.rounds):
            shuffled = rng.sample(session.items, len(session.items))
            groups += [shuffled[at : at + self.size] for at in range(0, len(shuffled), self.size)]
        scores = mean(await group_grades(session, groups))
        return placed(session.items, scores), scores


judge = Groupwise(summary="grades for shuffled groups of 10, twice (GroupRank)")

"""Base class of judge strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.judges.base import Candidate, Judgement, Task
from imagescope_agent.judges.session import JudgeSession

RankedItems = tuple[list[int], dict[int, float]]

TOP = 10  # how many places a strategy that sorts only the best fills, unless told otherwise


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A judge composed of elicitation, aggregation and position debiasing.

    Args:
        summary: what `imagescope judges` shows.
        top: how many places are sorted; the rest stays in first-stage order. Strategies that judge all ignore it.
        needs: protocols of `mllms.protocols` without which the strategy is refused.
        order_control: a model that always names one place or one label changes nothing.
    """

    summary: str = ""
    top: int = TOP
    needs: tuple[type[Any], ...] = field(default=(), repr=False)
    order_control: bool = False

    @property
    def at_once(self) -> int | None:
        """How many candidates one request shows beside the references: None for all, 0 where all are one picture."""
        return None

    async def __call__(self, task: Task, candidates: Sequence[Candidate]) -> Judgement:
        """Order the candidates; fewer than two need no model call.

        Raises:
            BadInput: the model lacks an ability that the strategy needs.
            BackendUnavailable: the model does not answer.
        """
        for power in self.needs:
            if not task.model.has(power):
                raise BadInput(
                    f"this judge needs a model with the power {power.__name__!r}, which "
                    f"{type(task.model.model).__name__} does not have; choose another (`imagescope judges`)"
                )
        session = JudgeSession(task, candidates)
        if len(session.items) < 2:
            return session.judgement(session.items)
        order, scores = await self.rank(session, Random(task.seed))
        return session.judgement(order, scores)

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """The order of at least two items, and scores by item where there are any."""
        raise NotImplementedError

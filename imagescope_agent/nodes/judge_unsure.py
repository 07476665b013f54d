"""Judge only where the verdicts leave the order uncertain, and weigh the judge with all else that is known."""

from __future__ import annotations

import math
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.collection.index import Collection
from imagescope_agent.judges import OWN_JUDGE
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.fuse import EVEN, FUSION, Fusion
from imagescope_agent.nodes.judge import JudgeTop
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


class JudgeUnsure(JudgeTop):
    """Let the judge see those who may still be the best, and order them by the fused score.

    Args:
        model: who is asked.
        collection: where the pictures are.
        judge: who judges when the settings name nobody.
        fusion: what the stages' scores weigh.
        sure: the chance of the first to be better than another, above which the other is not compared with it.
    """

    def __init__(
        self,
        model: Role,
        collection: Collection,
        *,
        judge: str = OWN_JUDGE,
        fusion: Fusion = FUSION,
        sure: float = 0.9,
    ) -> None:
        super().__init__(model, collection, judge=judge)
        self.fusion, self.margin = fusion, math.log(sure / (1 - sure))

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `judgement` and the final `ranking`; asks nobody where the first is certain.

        Raises:
            BadInput: there is no judge of that name.
        """
        settings, ranking = current(runtime), state["ranking_verify"]
        scores = self.fusion.scores(state["candidates"], state["predicates"], state.get("verdicts", {}))
        rivals = [
            name for name in ranking[: settings.alpha] if scores[ranking[0]] - scores[name] < self.margin
        ]
        if len(rivals) < 2:
            return {"ranking": ranking}
        update = await self.judged(state, settings, ranking, len(rivals))
        if "judgement" in update:
            weighed = self._weighed(update["judgement"], scores)
            update["ranking"] = [*weighed, *(name for name in ranking if name not in weighed)]
        return update

    def _weighed(self, judgement: dict[str, Any], scores: dict[str, float]) -> list[str]:
        """The judged by fused score; a judge without scores speaks by the places it gave."""
        order = judgement["order"]
        said = judgement["scores"] or {name: 1 - place / (len(order) - 1) for place, name in enumerate(order)}
        fused = {name: scores[name] + self.fusion.judge * (said.get(name, EVEN) - EVEN) for name in order}
        return sorted(order, key=lambda name: -round(fused[name], 9))

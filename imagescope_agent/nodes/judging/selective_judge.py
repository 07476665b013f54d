"""Judge only where the fused score leaves the first rank uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.judges import OWN_JUDGE
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.intent.reformulate import unsatisfied
from imagescope_agent.nodes.judging.judge import JudgeTop
from imagescope_agent.nodes.judging.score_fusion import EVEN, FUSION, ScoreFusion
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


class SelectiveJudge(JudgeTop):
    """Judges the candidates that may still be the best, and orders them by the fused score.

    Args:
        model: who is asked.
        collection: where the pictures are.
        judge: who judges when the settings name nobody.
        unsatisfied: candidates that are compared at most when none satisfies every predicate: then most of them have
            been verified, and to compare many would cost more than in the published procedure.
        fusion: what the stages' scores weigh.
        sure: the chance of the first to be better than another, above which the other is not compared with it.
    """

    def __init__(
        self,
        model: Role,
        collection: Collection,
        *,
        judge: str = OWN_JUDGE,
        fusion: ScoreFusion = FUSION,
        sure: float = 0.9,
        unsatisfied: int = 2,
    ) -> None:
        super().__init__(model, collection, judge=judge)
        self.unsatisfied = unsatisfied
        self.fusion, self.margin = fusion, math.log(sure / (1 - sure))

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `judgement` and the final `ranking`.

        No model is asked where the first is certain, nor where all verified candidates are ruled out.

        Raises:
            BadInput: there is no judge of that name.
        """
        settings, ranking = current(runtime), state["ranking_verify"]
        scores = self.fusion.scores(state["candidates"], state["predicates"], state.get("verdicts", {}))
        rivals = [
            name for name in ranking[: settings.alpha] if scores[ranking[0]] - scores[name] < self.margin
        ]
        if len(rivals) < 2 or self._hopeless(state, ranking[: settings.top_k]):
            return {"ranking": ranking}
        most = self.unsatisfied if unsatisfied(state) else len(rivals)
        update = await self.judged(state, settings, ranking, min(most, len(rivals)))
        if "judgement" in update:
            weighed = self._weighed(update["judgement"], scores)
            update["ranking"] = [*weighed, *(name for name in ranking if name not in weighed)]
        return update

    def _hopeless(self, state: State, names: Sequence[str]) -> bool:
        """Whether every verified candidate is ruled out, and none was left unverified.

        One without answers and without a reason for it is a picture that is gone.
        """
        verdicts, unverified = state.get("verdicts", {}), state.get("unverified", {})
        answers = [verdicts[name] for name in names if verdicts.get(name)]
        ruled_out = all(self.fusion.rules_out(state["predicates"], each) for each in answers)
        return bool(answers) and ruled_out and not any(name in unverified for name in names)

    def _weighed(self, judgement: dict[str, Any], scores: dict[str, float]) -> list[str]:
        """The judged candidates by fused score; a judge without scores counts by its ranks."""
        order = judgement["order"]
        said = judgement["scores"] or {name: 1 - place / (len(order) - 1) for place, name in enumerate(order)}
        fused = {name: scores[name] + self.fusion.judge * (said.get(name, EVEN) - EVEN) for name in order}
        return sorted(order, key=lambda name: -round(fused[name], 9))

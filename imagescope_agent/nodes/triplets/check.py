"""Check: a setwise judge must find the target from reference and words, or the triplet is dropped."""

from __future__ import annotations

from random import Random
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.judges.elicitation import votes
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import candidate_refs
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.prompting import steps_text
from imagescope_agent.records import at_step
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State
from imagescope_agent.usage import spent

ORDERS = 2  # in which the candidates are shown, under other labels
BESIDE = 3  # neighbours that are shown beside the target and the reference


class Check:
    """A call of the judge for each order: the target must be its choice among neighbours AND the reference itself."""

    step = "check"

    def __init__(self, judge: Role, collection: Collection) -> None:
        self.judge, self.role, self.collection = judge, judge.name, collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `evidence`, and `dropped` where it speaks against the triplet."""
        settings, proposal, reference = current(runtime), state["proposal"], state["reference"]
        assert proposal is not None and reference is not None
        others = [name for name in (*state["shown"], *state["others"]) if name != proposal["target"]]
        names = [proposal["target"], *others[:BESIDE], reference]
        refs, notes = await candidate_refs(names, self.collection, step=self.step)
        if reference not in refs or proposal["target"] not in refs:
            return {"dropped": "gone", "notes": notes}
        task = Task(
            query=proposal["text"],
            understood=steps_text(state["intent"]["steps"]),
            reference=refs[reference],
            model=on_budget(self.judge, state, settings),
            seed=settings.seed,
            budget=remaining(state, settings),
        )
        session = JudgeSession(task, [Candidate(id=name, image=image) for name, image in refs.items()])
        found: list[int | None] = []
        try:
            rng = Random(f"check {settings.seed}-{state['pair']}")
            found = await votes(session, session.items, rounds=ORDERS, rng=rng)
        except (BudgetSpent, RequestRefused, UnreadableReply) as error:
            session.add_note(
                "budget" if isinstance(error, BudgetSpent) else "refused", f"{error}; it is dropped"
            )
        judged = session.judgement(session.items)
        return {
            "evidence": {**state["evidence"], "orders": [item == session.items[0] for item in found]},
            "dropped": _against(found, session.items[0], session.items[-1]),
            "notes": [*notes, *at_step(self.step, judged.notes)],
            "usage": [spent(self.step, self.role, *judged.usage)],
        }


def _against(found: list[int | None], target: int, reference: int) -> str:
    """Why the triplet is dropped; "" where every order found the target."""
    if not found or None in found:
        return "unanswered"
    if all(item == target for item in found):
        return ""
    return "reference as good" if reference in found else "not found"

"""Check: a setwise judge must find the target from reference and words, or the triplet is dropped."""

from __future__ import annotations

from random import Random
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.judges.elicitation import points, votes
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import candidate_refs
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.prompting import load_prompt, steps_text
from imagescope_agent.records import at_step
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State
from imagescope_agent.usage import spent

ORDERS = 2  # in which the candidates are shown, under other labels


class Check:
    """Up to four calls of the judge.

    It must choose the target among neighbours AND the reference itself, in two shuffled orders; then the words must be
    satisfied by the target, and not by the reference as it is.
    """

    step = "check"

    def __init__(self, judge: Role, collection: Collection) -> None:
        self.judge, self.role, self.collection = judge, judge.name, collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `evidence`, and `dropped` where it speaks against the triplet."""
        settings, proposal, reference = current(runtime), state["proposal"], state["reference"]
        assert proposal is not None and reference is not None
        others = [name for name in (*state["shown"], *state["others"]) if name != proposal["target"]]
        names = [proposal["target"], *others[: ORDERS + 1], reference]
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
        evidence: dict[str, Any] = {"orders": [], "target": None, "reference": None}
        dropped = "unanswered"
        try:
            dropped = await self._dropped(session, evidence, Random(f"check {settings.seed}-{state['pair']}"))
        except (BudgetSpent, RequestRefused, UnreadableReply) as error:
            session.add_note(
                "budget" if isinstance(error, BudgetSpent) else "refused", f"{error}; it is dropped"
            )
        judged = session.judgement(session.items)
        return {
            "evidence": evidence,
            "dropped": dropped,
            "notes": [*notes, *at_step(self.step, judged.notes)],
            "usage": [spent(self.step, self.role, *judged.usage)],
        }

    async def _dropped(self, session: JudgeSession, evidence: dict[str, Any], rng: Random) -> str:
        """Ask, fill in the evidence, and return why the triplet is dropped; "" where it is kept."""
        target, reference = session.items[0], session.items[-1]
        found = await votes(session, session.items, rounds=ORDERS, rng=rng)
        evidence["orders"] = [item == target for item in found]
        if not found or None in found:
            return "unanswered"
        if not all(evidence["orders"]):
            return "reference as good" if reference in found else "not found"
        yes = await points(session, [target, reference])
        evidence |= {"target": yes.get(target), "reference": yes.get(reference)}
        if target not in yes or reference not in yes:
            return "unanswered"
        if yes[target] <= 0.5:
            return "not satisfied"
        return "describes the reference" if yes[reference] >= 0.5 else ""


def needs_steps(judge: Role) -> bool:
    """Whether the judge's words want the atomic instructions, so that they have to be understood first."""
    return load_prompt("best", prompt_set=judge.prompt_set).uses("understood")

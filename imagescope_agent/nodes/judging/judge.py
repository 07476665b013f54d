"""Stage 3, global evaluation: the configured judge orders the best verified candidates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, SupportsFloat

from langgraph.runtime import Runtime

from imagescope_agent.errors import BudgetSpent, ImageScopeError, RequestRefused, UnreadableReply
from imagescope_agent.judges import JUDGES, OWN_JUDGE
from imagescope_agent.judges.base import Candidate, Judge, Judgement, Task
from imagescope_agent.mllms.budget import BudgetedRole
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import candidate_refs, numbered_refs, reference_ref
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.prompting import is_asked, steps_text
from imagescope_agent.records import NoteDict, NoteKind, at_step, complete_order, note
from imagescope_agent.registry import resolve
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Instruction, State, references_of
from imagescope_agent.usage import spent

SHOWN = 16  # instructions that a judge is shown of a long conversation


class JudgeTop:
    """Lets the judge order the top alpha candidates; the others follow in their order.

    Args:
        model: the role that is called.
        collection: holds the images.
        judge: the judge when the settings name none.
    """

    step = "judge"

    def __init__(self, model: Role, collection: Collection, *, judge: str = OWN_JUDGE) -> None:
        self.model, self.role, self.collection, self.judge = model, model.name, collection, judge

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `judgement` and the final `ranking`.

        Raises:
            BadInput: there is no judge of that name.
        """
        settings = current(runtime)
        return await self.judged(state, settings, state["ranking_verify"], settings.alpha)

    async def judged(self, state: State, settings: Settings, ranking: list[str], most: int) -> dict[str, Any]:
        """Let the judge order the first `most` of a ranking.

        Raises:
            BadInput: there is no judge of that name.
        """
        judge: Judge = resolve(settings.judge or self.judge, JUDGES, kind="judge")
        refs, notes = await candidate_refs(ranking[:most], self.collection, step=self.step)
        if not refs:
            return {"ranking": ranking, "notes": notes}
        candidates = [Candidate(id=name, image=image) for name, image in refs.items()]
        at_once = getattr(judge, "at_once", None)
        task, told = await self._task(state, settings, len(candidates) if at_once is None else at_once)
        notes += told
        try:
            judgement = await judge(task, candidates)
        except BudgetSpent as error:  # of a judge that does not look at what is left
            judgement = _unfinished(task, candidates, "budget", error)
        except RequestRefused as error:  # of a judge that leaves it to others
            judgement = _unfinished(task, candidates, "refused", error)
        except UnreadableReply as error:
            judgement = _unfinished(task, candidates, "unreadable", error)
        order, repaired = sound_order(judgement, [candidate.id for candidate in candidates])
        scores, unsound = sound_scores(judgement, order)
        return {
            "judgement": {
                "order": order,
                "scores": scores,
                "reasons": dict(judgement.reasons),
            },
            "ranking": complete_order(order, order + ranking),
            "notes": [*notes, *at_step(self.step, judgement.notes), *repaired, *unsound],
            "usage": [spent(self.step, self.role, *judgement.usage)],
        }

    async def _task(self, state: State, settings: Settings, count: int) -> tuple[Task, list[NoteDict]]:
        """The task where a request shows `count` candidates, and notes on references that are not shown."""
        task = Task(
            query=state["query"],
            understood=_understood(state),
            model=on_budget(self.model, state, settings),
            seed=settings.seed,
            budget=remaining(state, settings),
        )
        references = references_of(state)
        if len(references) < 2:
            shown = [await reference_ref(name, self.collection) for name in references]
            return replace(task, reference=next(iter(shown), None)), []
        if not is_asked("several", self.model.prompt_set):
            detail = "the model knows one reference at most; it judges by the description of what is wanted"
            alone = replace(
                task, query=state["intent"]["full"], understood=_understood(without_references(state))
            )
            return alone, [note(self.step, "fallback", detail)]
        every = range(1, len(references) + 1)
        refs, notes = await numbered_refs(references, every, self.collection, step=self.step)
        once = {ref.key: number for number, ref in reversed(refs.items())}  # of equal files the first
        kept, left = shown_numbers(state, sorted(once.values()), self.model.images_per_request, count)
        first, *further = [*map(refs.get, kept)] or [None]
        several = replace(task, reference=first, further=tuple(filter(None, further)), numbers=tuple(kept))
        return several, [*notes, *left]


class JudgeBest(JudgeTop):
    """As `JudgeTop`, for a fixed number of candidates, verified or not.

    Args:
        judge: a name of `judges.JUDGES`, for when the settings name none.
        most: how many candidates are judged.
    """

    def __init__(self, model: Role, collection: Collection, *, judge: str, most: int) -> None:
        super().__init__(model, collection, judge=judge)
        self.most = most

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `judgement` and the final `ranking`."""
        ranking = state["ranking_verify"] or state["ranking_retrieve"]
        return await self.judged(state, current(runtime), ranking, self.most)


def without_references(state: State) -> State:
    """The state as of a text query: what must be there is asked for, whatever it was taken from."""
    steps: list[Instruction] = [
        {"type": "Removal" if step["type"] == "Removal" else "Addition", "text": step["text"]}
        for step in state["intent"]["steps"]
    ]
    return {**state, "intent": {**state["intent"], "steps": steps}}


def shown_numbers(
    state: State, numbers: list[int], most: int | None, candidates: int
) -> tuple[list[int], list[NoteDict]]:
    """The references that fit beside the candidates of a request, those that instructions name before the others.

    Args:
        state: whose instructions name references.
        numbers: of the references, each content once.
        most: pictures of a request; None for any number.
        candidates: in a request; 0 where references and candidates are one picture.

    Returns:
        Their numbers, and a note on what is left out.
    """
    named = {step["reference"] for step in state["intent"]["steps"] if "reference" in step}
    room = max(1, most - candidates) if most is not None and candidates else len(numbers)
    kept = sorted(sorted(numbers, key=lambda number: number not in named)[:room])
    left = ", ".join(str(number) for number in numbers if number not in kept)
    detail = f"the model takes {most} pictures in a request; reference {left} is not shown to it"
    return kept, [note(JudgeTop.step, "fallback", detail)] if left else []


def _understood(state: State) -> str:
    """The instructions, one a line; the full description where there are none."""
    if "intent" not in state:
        return ""
    return steps_text(bounded(state["intent"]["steps"])) or f"Wanted: {state['intent']['full']}"


def bounded(steps: list[Instruction]) -> list[Instruction]:
    """At most `SHOWN` instructions, the newest, and one that names every other thing that must not be there."""
    if len(steps) <= SHOWN:
        return steps
    old, new = steps[: -SHOWN + 1], steps[-SHOWN + 1 :]
    excluded = ", ".join(step["text"].rstrip(".") for step in old if step["type"] == "Removal")
    first: list[Instruction] = [{"type": "Removal", "text": excluded}] if excluded else []
    return [*first, *new]


def _unfinished(task: Task, candidates: list[Candidate], kind: NoteKind, error: ImageScopeError) -> Judgement:
    """A judgement that keeps the order, with a note and the usage so far."""
    notes = [note(JudgeTop.step, kind, f"{error}; the order stays")]
    usage = [task.model.budget.usage] if isinstance(task.model, BudgetedRole) else []
    if isinstance(error, UnreadableReply) and not usage:
        usage = [error.usage]
    return Judgement(order=[candidate.id for candidate in candidates], notes=notes, usage=usage)


def sound_order(judgement: Judgement, ids: list[str]) -> tuple[list[str], list[NoteDict]]:
    """The judge's order as a permutation of `ids`, with a note when it was none."""
    order = complete_order(judgement.order, ids)
    if order == judgement.order:
        return order, []
    return order, [
        note(JudgeTop.step, "repaired", f"{judgement.order!r} is no order of the candidates {ids!r}")
    ]


def sound_scores(judgement: Judgement, ids: list[str]) -> tuple[dict[str, float], list[NoteDict]]:
    """The judge's scores of the candidates as plain numbers; a note when some are none."""
    sound = {
        name: float(score)
        for name, score in judgement.scores.items()
        if name in ids and isinstance(score, SupportsFloat) and math.isfinite(score)
    }
    left = len(judgement.scores) - len(sound)
    detail = f"{left} of {len(judgement.scores)} scores are no number of a candidate"
    return sound, [note(JudgeTop.step, "repaired", detail)] if left else []

"""Predicates of what a message adds to the standing facts of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.mllms.role import Reply
from imagescope_agent.nodes.chat.dialogue_state import as_instructions
from imagescope_agent.nodes.chat.language.grounding import substitutes
from imagescope_agent.nodes.intent.assigned_predicates import assigned, is_asked, suited_predicates
from imagescope_agent.nodes.intent.references import bare
from imagescope_agent.nodes.intent.understand import Predicates
from imagescope_agent.nodes.model_calls import account
from imagescope_agent.records import NoteDict, NoteKind, note
from imagescope_agent.settings import Settings
from imagescope_agent.state import Fact, Instruction, Predicate, State
from imagescope_agent.usage import StepUsage, spent


class VerifyNewFacts(Predicates):
    """Derives predicates for the new instructions; standing facts keep theirs.

    The first standing fact stands before them: one instruction by itself is no request that a model is used to. New
    instructions that the reply has no predicate for are asked once more, without the others; what has none then leaves
    a note.
    """

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `facts` with the new ones, and `predicates`, of which a newer one overrules an older.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the reasoner may not be asked.
        """
        new, context = _new_steps(state), state["facts"][:1]
        if not new or not state["ranking_retrieve"]:
            return _with_predicates(state, [[] for _ in new])
        given = [] if context else state.get("given_predicates", [])
        found, *replies = (given,) if given else await self._of_new(new, state, runtime, again)
        own, notes = _checked(found, new)
        told = account(self, *replies, notes=notes)
        every = [each for predicates in own for each in predicates]
        if left := [n for n, each in enumerate(own) if not each and not is_asked(new[n], every)]:
            so_far: State = {**state, "usage": [*state.get("usage", []), *told["usage"]]}
            again_found, more = await self._of_left([new[place] for place in left], so_far, runtime)
            told = {key: [*told[key], *more[key]] for key in ("notes", "usage")}
            for place, each in zip(left, again_found, strict=True):
                own[place] = each
        return {**told, **_with_predicates(state, own)}

    async def _of_new(
        self, new: list[Instruction], state: State, runtime: Runtime[Settings], again: str
    ) -> tuple[list[Predicate], Reply]:
        """The predicates of the new instructions as they came, and the reply; errors as `Predicates.ask`."""
        context = state["facts"][:1]
        found, reply = await self.ask([*as_instructions(context), *new], state, runtime, again)
        return without_context(found, context, new), reply

    async def _of_left(
        self, left: list[Instruction], state: State, runtime: Runtime[Settings]
    ) -> tuple[list[list[Predicate]], dict[str, list[Any]]]:
        """The predicates of instructions that the first reply left out, and the notes and the usage of asking."""
        notes = [note(self.step, "retried", f"no question checked {_quoted(left)}; asked again")]
        usage: list[StepUsage] = []
        own: list[list[Predicate]] = [[] for _ in left]
        try:
            found, reply = await self._of_new(left, state, runtime, "")
        except UnreadableReply as error:
            usage.append(spent(self.step, self.role, error.usage))
            notes.append(note(self.step, "unreadable", str(error)))
        except (BudgetSpent, RequestRefused) as error:
            kind: NoteKind = "budget" if isinstance(error, BudgetSpent) else "refused"
            notes = [note(self.step, kind, f"no question checked {_quoted(left)}; {error}")]
        else:
            own, more = _checked(found, left)
            told = account(self, reply, notes=more)
            notes, usage = [*notes, *told["notes"]], told["usage"]
        every = [each for predicates in own for each in predicates]
        if open_ := [s for s, each in zip(left, own, strict=True) if not each and not is_asked(s, every)]:
            notes.append(note(self.step, "unchecked", f"no question checks {_quoted(open_)}"))
        return own, {"notes": notes, "usage": usage}


def without_context(
    found: list[Predicate], context: list[Fact], new: Sequence[Instruction]
) -> list[Predicate]:
    """The predicates of the `new` instructions: the context's own, which comes first, is left out."""
    if not context or not found:
        return found
    owners = assigned(found[:1], [*as_instructions(context), *new])
    repeated = found[0] in context[0]["predicates"] or (len(found) > len(new) and bool(owners[0]))
    return found[1:] if repeated else found


def newest(facts: Sequence[Fact]) -> list[Predicate]:
    """The predicates of the facts: each question once, with the answer that the newest fact expects."""
    asked: dict[str, Predicate] = {}
    for fact in facts:
        for predicate in fact["predicates"]:
            asked[" ".join(predicate["question"].lower().split())] = predicate
    return list(asked.values())


def standing_predicates(state: State) -> dict[str, Any]:
    """Fallback: keep the predicates of the standing facts."""
    return _with_predicates(state, [[] for _ in _new_steps(state)])


def _checked(
    found: list[Predicate], new: Sequence[Instruction]
) -> tuple[list[list[Predicate]], list[NoteDict]]:
    """The predicates of each new instruction, without those that ask for something else, and notes."""
    texts = [step["text"] for step in new]
    kept = [each for each in found if not substitutes(bare(each), texts)]
    notes = [
        note(VerifyNewFacts.step, "drifted", f"{bare(each)!r} asks for something else and was left out")
        for each in found
        if each not in kept
    ]
    predicates, repairs = suited_predicates(kept, new)
    return assigned(predicates, new), [*repairs, *notes]


def _quoted(steps: Sequence[Instruction]) -> str:
    return ", ".join(repr(step["text"]) for step in steps)


def _new_steps(state: State) -> list[Instruction]:
    """The intent's steps beyond those of the standing facts."""
    return state["intent"]["steps"][len(state["facts"]) :]


def _with_predicates(state: State, own: Sequence[list[Predicate]]) -> dict[str, Any]:
    """The facts with the new ones and the predicates of each of these."""
    new: list[Fact] = [
        {"type": step["type"], "text": step["text"], "predicates": predicates}
        for step, predicates in zip(_new_steps(state), own, strict=True)
    ]
    facts = [*state["facts"], *new]
    return {"facts": facts, "predicates": newest(facts)}

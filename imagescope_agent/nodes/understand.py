"""Stage 1, query understanding: caption of the reference, intent, predicates (arXiv 2503.10166)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Reply, Role
from imagescope_agent.nodes.drift import copies, doubtful, drift, strayed_words
from imagescope_agent.nodes.image_refs import reference_ref
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text
from imagescope_agent.records import note
from imagescope_agent.replies.non_answers import refuses
from imagescope_agent.replies.parsing import (
    IntentAnswer,
    PredicatesAnswer,
    parse_caption,
    parse_intent,
    parse_predicates,
    unique_predicates,
)
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Instruction, Predicate, State, plain_intent

UNKNOWN_REFERENCE = "an image"


class Describe:
    """Captions the reference: from the index, else by the captioner."""

    step = "describe"

    def __init__(self, captioner: Role, collection: Collection) -> None:
        self.captioner, self.role, self.collection = captioner, captioner.name, collection
        self.prompt = load_prompt("caption", prompt_set=captioner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `reference_caption`.

        Raises:
            UnreadableReply: the captioner gave no words.
            BudgetSpent: the captioner may not be asked.
        """
        reference = state.get("reference")
        if reference is None:
            return {"reference_caption": NO_REFERENCE}
        if reference in self.collection:
            return {"reference_caption": self.collection.caption(reference) or UNKNOWN_REFERENCE}
        require_call(state, settings := current(runtime))
        captioner = on_budget(self.captioner, state, settings)
        picture = await reference_ref(reference, self.collection)
        caption, reply = await ask_one(
            captioner, self.prompt.fill(), parse_caption, images=(picture,), again=again
        )
        return {"reference_caption": caption, **account(self, reply)}


class Understand:
    """The reasoner's first call: typed atomic instructions, and the target in three levels of detail.

    Args:
        reasoner: the role that is called.
        embedder: detects replies about another subject; None accepts any reply.
    """

    step = "understand"

    def __init__(self, reasoner: Role, embedder: Embedder | None = None) -> None:
        self.reasoner, self.role, self.embedder = reasoner, reasoner.name, embedder
        self.prompt = load_prompt("understand", prompt_set=reasoner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with the query.
            BudgetSpent: the reasoner may not be asked.
        """
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(instruction=state["query"], reference=state["reference_caption"])
        reasoner = on_budget(self.reasoner, state, settings)
        intent, reply = await ask_one(reasoner, text, parse_intent, schema=IntentAnswer, again=again)
        known = reference_words(state)
        if problem := await drift(intent, state["query"], known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        doubt = await doubtful(intent, state["query"], self.embedder)
        notes = [note(self.step, "drifted", doubt)] if doubt else []
        return {"intent": intent, **account(self, reply, notes=notes)}


class Predicates:
    """The reasoner's second call: a yes/no question and the expected answer for each atomic instruction."""

    step = "predicates"

    def __init__(self, reasoner: Role) -> None:
        self.reasoner, self.role = reasoner, reasoner.name
        self.prompt = load_prompt("predicates", prompt_set=reasoner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `predicates`, each question once; none when there is no instruction or nothing to check.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the reasoner may not be asked.
        """
        steps = state["intent"]["steps"]
        if not steps or not state["ranking_retrieve"]:
            return {"predicates": []}
        found, reply = await self.ask(steps, state, runtime, again)
        predicates, notes = unique_predicates(found, len(steps))
        return {"predicates": predicates, **account(self, reply, notes=notes)}

    async def ask(
        self, steps: list[Instruction], state: State, runtime: Runtime[Settings], again: str
    ) -> tuple[list[Predicate], Reply]:
        """The reply for these instructions, predicate by predicate; errors as above.

        A predicate that copies the prompt's example, has a placeholder, or asks about what nobody mentioned is left
        out, with a note.
        """
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(steps=steps_text(steps))
        reasoner = on_budget(self.reasoner, state, settings)
        found, reply = await ask_one(reasoner, text, parse_predicates, schema=PredicatesAnswer, again=again)
        problems = [strayed(each["question"], steps, state, self.prompt.examples) for each in found]
        kept = [each for each, problem in zip(found, problems, strict=True) if not problem]
        if not kept:
            raise reply.unusable(f"{found[0]['question']!r} {problems[0]}", text)
        if left := len(found) - len(kept):
            why = next(filter(None, problems))
            detail = f"{left} of {len(found)} predicates were left out: {why}"
            reply.notes.append(note(self.step, "drifted", detail))
        return kept, reply


def strayed(question: str, steps: Sequence[Instruction], state: State, examples: Sequence[str]) -> str:
    """What is wrong with a question about the instructions; empty when it asks about what was said."""
    told = " ".join(step["text"] for step in steps)
    if copies(question, told, examples):
        return "is the example, not the request"
    if _PLACEHOLDER.search(question):
        return "has a placeholder where a thing should be"
    if refuses(question):
        return "is a refusal"
    caption = state.get("reference_caption", "")
    everything = " ".join([told, state.get("query", ""), *_described(state), caption])
    known = caption != UNKNOWN_REFERENCE
    return (
        "asks about what the query does not mention"
        if strayed_words(question, everything, known=known)
        else ""
    )


_PLACEHOLDER = re.compile(
    r"[<\[{][^<>\[\]{}]*[>\]}]|\.\.\.|…|_{2,}|\b(?:[XYZ]|TODO|TBD|foo|bar)\b|\b(?:object|thing|item) [A-Z1-9]\b"
    r"|^\W*(?:question|q)\s*\d*\W*$",
)


def _described(state: State) -> list[str]:
    return [str(text) for name, text in state["intent"].items() if name != "steps"]


def reference_words(state: State) -> str:
    """The caption of the reference; empty without one."""
    caption = state["reference_caption"]
    return "" if caption == NO_REFERENCE else caption


def unknown_reference(state: State) -> dict[str, Any]:
    """Fallback: no caption of the reference."""
    return {"reference_caption": UNKNOWN_REFERENCE}


def query_as_intent(state: State) -> dict[str, Any]:
    """Fallback: the query is every description; without atomic instructions nothing is verified."""
    return {"intent": plain_intent(state["query"])}


def no_predicates(state: State) -> dict[str, Any]:
    """Fallback: no predicates."""
    return {"predicates": []}

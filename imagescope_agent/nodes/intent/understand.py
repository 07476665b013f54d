"""Stage 1, query understanding: caption of the reference, intent, predicates (arXiv 2503.10166)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Reply, Role
from imagescope_agent.nodes.image_refs import reference_ref
from imagescope_agent.nodes.intent.assigned_predicates import checks_of
from imagescope_agent.nodes.intent.contradictions import excluded_unsaid
from imagescope_agent.nodes.intent.drift import copies, doubtful, drift, strayed_words
from imagescope_agent.nodes.intent.dropped_words import note_dropped
from imagescope_agent.nodes.intent.plain_words import in_plain_words
from imagescope_agent.nodes.intent.references import content_keys, with_mark
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import NO_REFERENCE, is_asked, load_prompt, steps_text
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.non_answers import refuses
from imagescope_agent.replies.parsing import (
    IntentAnswer,
    PredicatesAnswer,
    parse_caption,
    parse_intent,
    parse_predicates,
)
from imagescope_agent.replies.reference_replies import (
    ReferencedIntentAnswer,
    ReferencedPredicatesAnswer,
    parse_referenced_intent,
    parse_referenced_predicates,
)
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Instruction, Intent, Predicate, State, plain_intent, references_of

UNKNOWN_REFERENCE = "an image"
UNMENTIONED = "asks about what the query does not mention"


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
        references = references_of(state)
        if not references:
            return {"reference_caption": NO_REFERENCE}
        keys = await asyncio.to_thread(
            content_keys, references, self.collection
        )  # one of equal files is described
        captions: dict[str, str] = {}
        replies: list[Reply] = []
        for name, key in zip(references, keys, strict=True):
            if key not in captions:
                captions[key], *asked = await self._caption(name, state, runtime, replies, again)
                replies += asked
        told = account(self, *replies) if replies else {}
        every = [captions[key] for key in keys]
        if len(every) == 1:
            return {"reference_caption": every[0], **told}
        return {"reference_caption": numbered(every, "; "), "reference_captions": every, **told}

    async def _caption(
        self, name: str, state: State, runtime: Runtime[Settings], before: Sequence[Reply], again: str
    ) -> tuple[Any, ...]:
        """The caption of a reference, and the reply that gave it, if a model was asked; errors as above."""
        images = self.collection
        if name in images and images.named(name) not in images.uncaptioned:
            return (images.caption(name) or UNKNOWN_REFERENCE,)
        spent_before = account(self, *before)["usage"] if before else []
        so_far: State = {**state, "usage": [*state.get("usage", []), *spent_before]}
        require_call(so_far, settings := current(runtime))
        captioner = on_budget(self.captioner, so_far, settings)
        picture = await reference_ref(name, images)
        return await ask_one(captioner, self.prompt.fill(), parse_caption, images=(picture,), again=again)


class Understand:
    """The reasoner's first call: typed atomic instructions, and the target in three levels of detail.

    Args:
        reasoner: the role that is called.
        embedder: detects replies about another subject; None accepts any reply.
        several: is called in its place where there are several references; None for the reasoner.
    """

    step = "understand"
    is_read_again = False  # whether a later step mends what contradicts the words

    def __init__(self, reasoner: Role, embedder: Embedder | None = None, several: Role | None = None) -> None:
        self.reasoner, self.role, self.embedder = reasoner, reasoner.name, embedder
        self.several = several or reasoner
        self.prompt = load_prompt("understand", prompt_set=reasoner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`; when it is asked again, of the query in the words that the models know.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with the query.
            BudgetSpent: the reasoner may not be asked.
        """
        require_call(state, settings := current(runtime))
        asked = in_plain_words(state, self.embedder) if again else state
        intent, reply, text, more = await self._ask(asked, settings, again)
        known, query = reference_words(state), asked["query"]
        if problem := await drift(intent, query, known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        doubts = [await doubtful(intent, query, self.embedder)]
        doubts += [] if self.is_read_again or state["reference"] else [excluded_unsaid(intent, query)]
        notes = [note(self.step, "drifted", each) for each in doubts if each]
        if asked is not state:
            notes.append(note(self.step, "reworded", f"the query was read as {query!r}"))
        if (count := len(references_of(state))) > 1:
            notes += unnamed_references(intent, count) + note_dropped(intent, state["query"], self.step)
        return {"intent": intent, **more, **account(self, reply, notes=notes)}

    async def _ask(
        self, state: State, settings: Settings, again: str
    ) -> tuple[Intent, Reply, str, dict[str, Any]]:
        """The intent, the reply, the question, and what else the reply gives for the state.

        The question knows of several references where there are any.
        """
        query, count = state["query"], len(references_of(state))
        captions = state.get("reference_captions") or []
        if count < 2 or not captions:  # undescribed pictures have no numbers that words could be about
            text = self.prompt.fill(instruction=query, reference=state["reference_caption"])
            parse, reasoner = partial(parse_intent, told=query), on_budget(self.reasoner, state, settings)
            return *(await ask_one(reasoner, text, parse, schema=IntentAnswer, again=again)), text, {}
        reasoner = on_budget(self.several, state, settings)
        prompt = load_prompt("compose", prompt_set=reasoner.prompt_set)
        text = prompt.fill(instruction=query, references=numbered(captions, "\n"))
        read = partial(parse_referenced_intent, count=count, told=query)
        return *(await ask_one(reasoner, text, read, schema=ReferencedIntentAnswer, again=again)), text, {}


class Predicates:
    """The reasoner's second call: a yes/no question and the expected answer for each atomic instruction.

    Args:
        reasoner: the role that is called.
        images: holds the references; None where there are none.
    """

    step = "predicates"

    def __init__(self, reasoner: Role, images: Collection | None = None) -> None:
        self.reasoner, self.role, self.images = reasoner, reasoner.name, images
        self.prompt = load_prompt("predicates", prompt_set=reasoner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `predicates`, each question once; none when there is no instruction or nothing to check.

        Those that came with the intent are taken as they are, without a call.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the reasoner may not be asked.
        """
        steps = state["intent"]["steps"]
        if not steps or not state["ranking_retrieve"]:
            return {"predicates": []}
        if given := state.get("given_predicates"):
            predicates, notes = checks_of(given, steps)
            return {"predicates": predicates, "notes": notes}
        found, reply = await self.ask(steps, state, runtime, again)
        predicates, notes = checks_of(found, steps)
        return {"predicates": predicates, **account(self, reply, notes=notes)}

    async def ask(
        self, steps: list[Instruction], state: State, runtime: Runtime[Settings], again: str
    ) -> tuple[list[Predicate], Reply]:
        """The reply for these instructions, predicate by predicate; errors as above.

        A predicate that copies the prompt's example, has a placeholder, or asks about what nobody mentioned is left
        out, with a note. Where all are of the last sort when asked again, they are kept, with a note: other words may
        mean the same.
        """
        require_call(state, settings := current(runtime))
        reasoner = on_budget(self.reasoner, state, settings)
        found, reply, text = await self._found(reasoner, steps, state, again)
        problems = [strayed(each["question"], steps, state, self.prompt.examples) for each in found]
        kept = [each for each, problem in zip(found, problems, strict=True) if not problem]
        why = next(filter(None, problems), "")
        left = f"{len(found) - len(kept)} of {len(found)} predicates were left out: {why}"
        if not kept and again:
            kept = [each for each, problem in zip(found, problems, strict=True) if problem == UNMENTIONED]
            left = f"{kept[0]['question']!r} {UNMENTIONED}, and is checked all the same" if kept else left
        if not kept:
            raise reply.unusable(f"{found[0]['question']!r} {problems[0]}", text)
        if why:
            reply.notes.append(note(self.step, "drifted", left))
        marked = partial(with_mark, references=references_of(state), collection=self.images)
        return [await asyncio.to_thread(marked, each) for each in kept], reply

    async def _found(
        self, reasoner: Role, steps: list[Instruction], state: State, again: str
    ) -> tuple[list[Predicate], Reply, str]:
        """The predicates as they came, the reply and the question."""
        beside = is_asked("beside", reasoner.prompt_set)
        if not beside or not any("reference" in step for step in steps):
            text = self.prompt.fill(steps=steps_text(steps))
            return *(
                await ask_one(reasoner, text, parse_predicates, schema=PredicatesAnswer, again=again)
            ), text
        text = load_prompt("beside", prompt_set=reasoner.prompt_set).fill(steps=numbered_steps(steps))
        parse = partial(parse_referenced_predicates, count=len(references_of(state)))
        return *(await ask_one(reasoner, text, parse, schema=ReferencedPredicatesAnswer, again=again)), text


def numbered(captions: Sequence[str], between: str) -> str:
    """The captions of several references, each with its number."""
    return between.join(f"image {number}: {caption}" for number, caption in enumerate(captions, 1))


def numbered_steps(steps: Sequence[Instruction]) -> str:
    """As `steps_text`, with the number of the reference that an instruction is about."""
    return steps_text(
        {**step, "type": f"{step['type']} (image {step['reference']})"} if "reference" in step else step
        for step in steps
    )


def unnamed_references(intent: Intent, count: int) -> list[NoteDict]:
    """Notes on references that no instruction is about."""
    named = {step["reference"] for step in intent["steps"] if "reference" in step}
    if count < 2 or len(named) == count:
        return []
    if not named:
        detail = "the model does not say which reference an instruction is about; they are taken together"
        return [note(Understand.step, "fallback", detail)]
    left = ", ".join(str(number) for number in range(1, count + 1) if number not in named)
    return [
        note(
            Understand.step, "skipped", f"no instruction is about reference {left}; nothing is asked about it"
        )
    ]


def strayed(question: str, steps: Sequence[Instruction], state: State, examples: Sequence[str]) -> str:
    """What is wrong with a question about the instructions; empty when it asks about what was said."""
    told = " ".join(step["text"] for step in steps)
    if copies(question, told, examples):
        return "is the example, not the request"
    caption = state.get("reference_caption", "")
    described = [str(text) for name, text in state["intent"].items() if name != "steps"]
    everything = " ".join([told, state.get("query", ""), *described, caption])
    if any(each[0].lower() not in everything.lower() for each in _PLACEHOLDER.finditer(question)):
        return "has a placeholder where a thing should be"
    if refuses(question):
        return "is a refusal"
    known = caption != UNKNOWN_REFERENCE
    return UNMENTIONED if strayed_words(question, everything, known=known) else ""


_PLACEHOLDER = re.compile(
    r"[<\[{][^<>\[\]{}]*[>\]}]|\.\.\.|…|_{2,}|\b(?:[XYZ]|TODO|TBD|foo|bar)\b|\b(?:object|thing|item) [A-Z1-9]\b"
    r"|^\W*(?i:question|q)\s*\d*\W*$",
)


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

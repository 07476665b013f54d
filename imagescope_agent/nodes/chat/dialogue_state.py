"""Dialogue state tracking: update the standing facts with a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.act_remarks import remarks
from imagescope_agent.nodes.chat.grounded_update import ground
from imagescope_agent.nodes.chat.language.antecedents import with_antecedents
from imagescope_agent.nodes.chat.language.rewording import as_meant
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary, vocabulary_of
from imagescope_agent.nodes.chat.message_commands import plain_answer
from imagescope_agent.nodes.chat.read_message import has_act
from imagescope_agent.nodes.intent.drift import drift
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import NEGATED, NO_REFERENCE, load_prompt, request_text
from imagescope_agent.replies.parsing import FoldAnswer, parse_fold
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import (
    OF_TOPIC,
    ClarifyingQuestion,
    Fact,
    Instruction,
    Intent,
    MessagePart,
    Predicate,
    State,
    new_conversation,
)

SHOWN = 8  # facts that a model is shown of a long conversation; the others stand, and are checked like these


class UpdateDialogueState:
    """One call of the talker: which facts to drop, which are new, and a new description of the target.

    Args:
        talker: who is asked.
        embedder: tells other words from another subject; None for taking any words.
        images: whose captions tell which words name what can be seen; None where that is not known.
    """

    step = "fold"

    def __init__(
        self, talker: Role, embedder: Embedder | None = None, images: Collection | None = None
    ) -> None:
        self.talker, self.role, self.embedder, self.images = talker, talker.name, embedder, images
        self.prompt = load_prompt("fold", prompt_set=talker.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `facts`, `intent`, `request` and, on a new topic, everything that the old one had, cleared.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with what was said.
            BudgetSpent: the talker may not be asked.
        """
        require_call(state, settings := current(runtime))
        vocabulary = vocabulary_of(self.images)
        typed = state
        state, reread = await self._as_meant(typed, vocabulary)
        shown = shown_facts(state["facts"])
        lines = [
            f"{number}. {fact['type']}: {fact['text']}"
            for number, fact in enumerate((state["facts"][place] for place in shown), 1)
        ]
        answered = answered_predicate(state)
        question = state["question"] if has_act(state, "answer") else None
        message = in_words(answered) if answered else state["query"]
        said = {
            "facts": "\n".join(lines) or "none",
            "wanted": state["intent"]["full"],
            "reference": state["reference_caption"],
            "question": "none" if answered or not question else _as_worded(state, question),
        }
        text = self.prompt.fill(**said, message=message)
        talker = on_budget(self.talker, state, settings)
        update, reply = await ask_one(talker, text, parse_fold, schema=FoldAnswer, again=again)
        intent, known = as_intent(update), " ".join(said.values())
        if problem := await drift(intent, message, known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        update.drop = [shown[number - 1] + 1 for number in update.drop if 1 <= number <= len(shown)]
        grounded = await ground(update, state, message, self.embedder, vocabulary)
        if not grounded.understood and not answered:
            return {**not_understood(typed, reread), **account(self, reply, notes=grounded.notes)}
        return {
            **apply_update(state, grounded.update),
            "remarks": [*state.get("remarks", []), *reread, *grounded.remarks],
            **account(self, reply, notes=grounded.notes),
        }

    async def _as_meant(self, typed: State, vocabulary: Vocabulary) -> tuple[State, list[str]]:
        """As `as_meant`, with what a relation to "it" points back to."""
        state, reread = await as_meant(typed, vocabulary, self.embedder)
        return with_antecedents(state, vocabulary), reread

    async def as_named(self, state: State) -> dict[str, Any]:
        """Fallback: what the message says in words of the captions; where it names nothing, the message as a fact."""
        vocabulary = vocabulary_of(self.images)
        if answered_predicate(state) or not vocabulary.words:
            return message_as_fact(state)
        told, reread = await self._as_meant(state, vocabulary)
        grains = {name: state["intent"][name] for name in ("core", "enhanced", "full")}
        nothing = FoldAnswer(topic="same", answer="None", drop=[], steps=[], **grains)
        grounded = await ground(nothing, told, told["query"], self.embedder, vocabulary)
        if not grounded.understood:
            return message_as_fact(state)
        return {
            **apply_update(told, grounded.update),
            "remarks": [*state.get("remarks", []), *reread, *grounded.remarks],
            "notes": grounded.notes,
        }


def not_understood(typed: State, reread: Sequence[str]) -> dict[str, Any]:
    """The update for a message in which nothing was found: the request stands, and the user is told.

    Args:
        typed: the state with the message as the user wrote it.
        reread: what is said about words in it that were read as others.
    """
    acts: list[MessagePart] = [{"text": typed["query"], "act": "unclear"}]
    return {
        "acts": acts,
        "query": typed["request"],
        "remarks": [*typed.get("remarks", []), *reread, *remarks(acts)],
    }


def _as_worded(state: State, question: ClarifyingQuestion) -> str:
    """A question as the talker itself worded it."""
    return state.get("wordings", {}).get(question["asks"], question["text"])


def as_intent(update: FoldAnswer) -> Intent:
    """The intent in a reply: new instructions and descriptions."""
    steps: list[Instruction] = [{"type": step.type, "text": step.text} for step in update.steps]
    return {"steps": steps, "core": update.core, "enhanced": update.enhanced, "full": update.full}


def shown_facts(facts: Sequence[Fact]) -> list[int]:
    """Indices of the facts in the prompt, at most `SHOWN`, in order; removals are left out first."""
    places = list(range(len(facts)))
    spare = [place for place in places if facts[place]["type"] == "Removal"]
    left_out = {*[*spare, *(place for place in places if place not in spare)][: max(0, len(facts) - SHOWN)]}
    return [place for place in places if place not in left_out]


def apply_update(state: State, update: FoldAnswer) -> dict[str, Any]:
    """The dialogue state after a message; kept facts stay unchanged, so that their verdicts can be reused."""
    grains = (update.core, update.enhanced, update.full)
    if answered := answered_predicate(state):
        return _after_answer(state, answered, update, grains)
    new_topic = update.topic == "new"
    kept = [
        fact for number, fact in enumerate(state["facts"], 1) if not new_topic and number not in update.drop
    ]
    question = state["question"]
    if not new_topic and question and not question.get("also") and update.answer in ("Yes", "No"):
        kept = _with_answer(kept, {"question": question["asks"], "expected": update.answer})
    left = _reset_topic(state) if new_topic else {}
    steps, reference = as_intent(update)["steps"], left.get("reference", state["reference"])
    return {**left, **_with_intent(kept, steps, grains, reference)}


def answered_predicate(state: State) -> Predicate | None:
    """The pending question as a predicate with its answer, where the message is a plain yes or no to it."""
    question, answer = state["question"], plain_answer(state["query"])
    if question is None or answer is None or question.get("also"):
        return None
    return {"question": question["asks"], "expected": answer}


def in_words(answered: Predicate) -> str:
    """An answered question as one message for the model, which cannot interpret a bare "yes"."""
    return f"{answered['question'][:1].lower()}{answered['question'][1:]} {answered['expected'].lower()}"


def _after_answer(
    state: State, answered: Predicate, update: FoldAnswer, grains: tuple[str, str, str]
) -> dict[str, Any]:
    """A new fact whose predicate is known; what is not there describes no picture, so "no" leaves the grains."""
    kept = [fact for number, fact in enumerate(state["facts"], 1) if number not in update.drop]
    text = update.steps[0].text if len(update.steps) == 1 else None
    if answered["expected"] == "No":
        grains = (state["intent"]["core"], state["intent"]["enhanced"], state["intent"]["full"])
    return _with_intent(_with_answer(kept, answered, text), [], grains, state["reference"])


def message_as_fact(state: State) -> dict[str, Any]:
    """Fallback without a model: the message, or the answered question, becomes one more fact."""
    words, kept = state["query"], list(state["facts"])
    steps: list[Instruction] = []
    if answered := answered_predicate(state):
        kept = _with_answer(kept, answered)
        words = f"{answered['question']} {answered['expected']}"
    else:
        steps = [{"type": "Removal" if NEGATED.search(words) else "Addition", "text": words}]
    old = state["intent"]
    grains = (old["core"], f"{old['enhanced']}, {words}", f"{old['full']}, {words}")
    return _with_intent(kept, steps, grains, state["reference"])


def _with_answer(facts: list[Fact], predicate: Predicate, text: str | None = None) -> list[Fact]:
    """The facts with an answered question among them, in `text`'s words, whatever was known about it before."""
    others = [
        fact for fact in facts if all(p["question"] != predicate["question"] for p in fact["predicates"])
    ]
    kind = "Addition" if predicate["expected"] == "Yes" else "Removal"
    text = text or f"{predicate['question']} {predicate['expected']}"
    return [*others, {"type": kind, "text": text, "predicates": [predicate]}]


def _with_intent(
    kept: list[Fact], steps: list[Instruction], grains: tuple[str, str, str], reference: str | None
) -> dict[str, Any]:
    """The intent after a message; a reference's description cannot stand for what to change in it."""
    every = [*as_instructions(kept), *steps]
    core, enhanced, full = grains
    request = full if reference is None or not every else request_text(every)
    intent = {"steps": every, "core": core, "enhanced": enhanced, "full": full}
    return {"facts": kept, "intent": intent, "request": request, "query": request}


def as_instructions(facts: Sequence[Fact]) -> list[Instruction]:
    """The instructions of the facts, in order."""
    return [{"type": fact["type"], "text": fact["text"]} for fact in facts]


def _reset_topic(state: State) -> dict[str, Any]:
    """What a new topic resets; a reference that came with this message belongs to the new topic."""
    last = state["turn"]
    cleared = {name: value for name, value in new_conversation().items() if name in OF_TOPIC}
    if state["anchor"] is None or last is None or last["reference"] != state["anchor"]:
        return cleared
    gone: dict[str, Any] = {"anchor": None, "reference": None, "anchors": [], "references": []}
    return {**cleared, **gone, "reference_caption": NO_REFERENCE, "reference_captions": []}

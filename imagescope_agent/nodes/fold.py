"""A conversation's later turns: fold a message into what is wanted, and check what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.collection.embed import Embedder
from imagescope_agent.ledger import at_step, require_call, spent
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.asking import ask_one, on_budget, unusable
from imagescope_agent.nodes.drift import drift
from imagescope_agent.nodes.hear import NEW, plain_answer
from imagescope_agent.nodes.understand import Predicates, account
from imagescope_agent.parsing import FoldAnswer, parse_fold, unique_predicates
from imagescope_agent.prompting import NO_REFERENCE, load_prompt
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Fact, Intent, Predicate, State, Step

SHOWN = 8  # facts that a model is shown of a long conversation; the others stand, and are checked like these


class Fold:
    """One call of the talker: which standing facts no longer hold, what is new, the target described anew.

    Args:
        talker: who is asked.
        embedder: tells other words from another subject; None for taking any words.
    """

    step = "fold"

    def __init__(self, talker: Role, embedder: Embedder | None = None) -> None:
        self.talker, self.role, self.embedder = talker, talker.name, embedder
        self.prompt = load_prompt("fold", prompt_set=talker.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `facts`, `intent`, `request` and, on a new topic, everything that the old one had, cleared.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with what was said.
            BudgetSpent: the talker may not be asked.
        """
        require_call(state, settings := current(runtime))
        shown = shown_facts(state["facts"])
        lines = [
            f"{number}. {fact['type']}: {fact['text']}"
            for number, fact in enumerate((state["facts"][place] for place in shown), 1)
        ]
        question, answered = state["question"], answered_predicate(state)
        message = in_words(answered) if answered else state["query"]
        said = {
            "facts": "\n".join(lines) or "none",
            "wanted": state["intent"]["full"],
            "reference": state["reference_caption"],
            "question": "none" if answered or not question else question["text"],
        }
        text = self.prompt.fill(**said, message=message)
        talker = on_budget(self.talker, state, settings)
        folded, reply = await ask_one(talker, text, parse_fold, schema=FoldAnswer, again=again)
        intent, known = as_intent(folded), " ".join(said.values())
        if problem := await drift(intent, message, known, self.prompt.examples, self.embedder):
            raise unusable(problem, text, reply)
        folded.drop = [shown[number - 1] + 1 for number in folded.drop if 1 <= number <= len(shown)]
        return {
            **folded_in(state, folded),
            "notes": at_step(self.step, reply.notes),
            "usage": [spent(self.step, self.role, reply.usage)],
        }


def as_intent(folded: FoldAnswer) -> Intent:
    """What a reply says: its new instructions and its descriptions."""
    steps: list[Step] = [{"type": step.type, "text": step.text} for step in folded.steps]
    return {"steps": steps, "core": folded.core, "enhanced": folded.enhanced, "full": folded.full}


def shown_facts(facts: Sequence[Fact]) -> list[int]:
    """The places of the facts that a model is shown, at most `SHOWN`, in order: what is not there describes least."""
    places = list(range(len(facts)))
    spare = [place for place in places if facts[place]["type"] == "Removal"]
    left_out = {*[*spare, *(place for place in places if place not in spare)][: max(0, len(facts) - SHOWN)]}
    return [place for place in places if place not in left_out]


def folded_in(state: State, folded: FoldAnswer) -> dict[str, Any]:
    """The conversation after a message: facts are kept word for word, so that their verdicts stay known."""
    steps: list[Step] = [{"type": step.type, "text": step.text} for step in folded.steps]
    grains = (folded.core, folded.enhanced, folded.full)
    if answered := answered_predicate(state):
        return _after_answer(state, answered, folded, grains)
    new_topic = folded.topic == "new"
    kept = [
        fact for number, fact in enumerate(state["facts"], 1) if not new_topic and number not in folded.drop
    ]
    question = state["question"]
    if not new_topic and question and not question.get("also") and folded.answer in ("Yes", "No"):
        kept = _answered(kept, {"question": question["asks"], "expected": folded.answer})
    left = _left_behind(state) if new_topic else {}
    return {**left, **_wanted(kept, steps, grains, left.get("reference", state["reference"]))}


def answered_predicate(state: State) -> Predicate | None:
    """Our question with its answer, where the whole message is one; several predicates have no plain answer."""
    question, answer = state["question"], plain_answer(state["query"])
    if question is None or answer is None or question.get("also"):
        return None
    return {"question": question["asks"], "expected": answer}


def in_words(answered: Predicate) -> str:
    """An answered question as one message: a bare "yes" says nothing that could describe the target anew."""
    return f"{answered['question'][:1].lower()}{answered['question'][1:]} {answered['expected'].lower()}"


def _after_answer(
    state: State, answered: Predicate, folded: FoldAnswer, grains: tuple[str, str, str]
) -> dict[str, Any]:
    """A new fact whose predicate is known; what is not there describes no picture, so "no" leaves the grains."""
    kept = [fact for number, fact in enumerate(state["facts"], 1) if number not in folded.drop]
    text = folded.steps[0].text if len(folded.steps) == 1 else None
    if answered["expected"] == "No":
        grains = (state["intent"]["core"], state["intent"]["enhanced"], state["intent"]["full"])
    return _wanted(_answered(kept, answered, text), [], grains, state["reference"])


def message_as_fact(state: State) -> dict[str, Any]:
    """Go on without a model: the message, or the answered question, is one more fact in its own words."""
    words, kept = state["query"], list(state["facts"])
    steps: list[Step] = []
    if answered := answered_predicate(state):
        kept = _answered(kept, answered)
        words = f"{answered['question']} {answered['expected']}"
    else:
        steps = [{"type": "Addition", "text": words}]
    old = state["intent"]
    grains = (old["core"], f"{old['enhanced']}, {words}", f"{old['full']}, {words}")
    return _wanted(kept, steps, grains, state["reference"])


class CheckNew(Predicates):
    """The reasoner's second call, for the instructions that are new; the standing ones keep their predicates.

    The first standing fact stands before them: one instruction by itself is no request that a model is used to.
    """

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `facts` with the new ones, and `predicates`, of which a newer one overrules an older.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the reasoner may not be asked.
        """
        new, context = _new_steps(state), state["facts"][:1]
        if not new or not state["ranking_retrieve"]:
            return _checked(state, [])
        before: list[Step] = [{"type": fact["type"], "text": fact["text"]} for fact in context]
        found, reply = await self.ask([*before, *new], state, runtime, again)
        predicates, notes = unique_predicates(without_context(found, context, len(new)), len(new))
        return {**account(self, reply, notes), **_checked(state, predicates)}


def without_context(found: list[Predicate], context: list[Fact], new: int) -> list[Predicate]:
    """The predicates of the `new` instructions: the context's own, which comes first, is left out."""
    repeated = bool(context and found) and (found[0] in context[0]["predicates"] or len(found) > new)
    return found[1:] if repeated else found


def newest(facts: Sequence[Fact]) -> list[Predicate]:
    """What the facts ask of an image: each question once, as the newest fact expects it."""
    asked: dict[str, Predicate] = {}
    for fact in facts:
        for predicate in fact["predicates"]:
            asked[" ".join(predicate["question"].lower().split())] = predicate
    return list(asked.values())


def standing_predicates(state: State) -> dict[str, Any]:
    """Go on with what is checked already."""
    return _checked(state, [])


def _answered(facts: list[Fact], predicate: Predicate, text: str | None = None) -> list[Fact]:
    """The facts with an answered question among them, in `text`'s words, whatever was known about it before."""
    others = [
        fact for fact in facts if all(p["question"] != predicate["question"] for p in fact["predicates"])
    ]
    kind = "Addition" if predicate["expected"] == "Yes" else "Removal"
    text = text or f"{predicate['question']} {predicate['expected']}"
    return [*others, {"type": kind, "text": text, "predicates": [predicate]}]


def _wanted(
    kept: list[Fact], steps: list[Step], grains: tuple[str, str, str], reference: str | None
) -> dict[str, Any]:
    """The intent after a message; a reference's description cannot stand for what to change in it."""
    standing: list[Step] = [{"type": fact["type"], "text": fact["text"]} for fact in kept]
    every = [*standing, *steps]
    core, enhanced, full = grains
    words = [step["text"].rstrip(".") for step in every]
    request = full if reference is None or not words else "; ".join(words)
    intent = {"steps": every, "core": core, "enhanced": enhanced, "full": full}
    return {"facts": kept, "intent": intent, "request": request, "query": request}


def _left_behind(state: State) -> dict[str, Any]:
    """What a new topic clears; a reference that came with this very message belongs to the new one."""
    turns = state["turns"]
    cleared = {name: NEW[name] for name in ("liked", "rejected", "pool", "wordings", "asked", "question")}
    if state["anchor"] is None or not turns or turns[-1]["reference"] != state["anchor"]:
        return cleared
    return {**cleared, "anchor": None, "reference": None, "reference_caption": NO_REFERENCE}


def _new_steps(state: State) -> list[Step]:
    """The intent's steps begin with those of the standing facts."""
    return state["intent"]["steps"][len(state["facts"]) :]


def _checked(state: State, predicates: list[Predicate]) -> dict[str, Any]:
    new: list[Fact] = [
        {"type": step["type"], "text": step["text"], "predicates": []} for step in _new_steps(state)
    ]
    for number, predicate in enumerate(predicates):
        if new:  # one predicate a step, in order; what is over belongs to the last
            new[min(number, len(new) - 1)]["predicates"].append(predicate)
    facts = [*state["facts"], *new]
    return {"facts": facts, "predicates": newest(facts)}

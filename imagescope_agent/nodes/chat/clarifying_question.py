"""Clarifying questions by expected information gain: propose, word, survey the likely images, choose."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from imagescope_agent.errors import shorten
from imagescope_agent.mllms.batch import together
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.chat.answer_words import fit_remarks, request_words
from imagescope_agent.nodes.chat.belief import beliefs, entropy, information
from imagescope_agent.nodes.chat.read_message import has_act, is_idle
from imagescope_agent.nodes.intent.references import bare
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.nodes.standing_filter import standing_filter
from imagescope_agent.nodes.verify import Verify
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NoteDict
from imagescope_agent.replies.parsing import ProposalAnswer, parse_proposal, parse_question
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import remaining, require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import ClarifyingQuestion, State, Turn, Verdicts
from imagescope_agent.usage import StepUsage

LIKELY = 20  # images that a question is chosen for: those that were verified, so that the answer sorts them at once
DESCRIBED = 8  # likely images whose captions the talker is shown
WORTH = 0.1  # bits below which an answer is not worth a question
ENOUGH = 0.4  # of the missing bits, but of one bit at most: with less a better question is looked for
LIKELIHOOD = 0.9  # that the wanted image is among those that are surveyed


KNOWN = 24  # questions that the talker is shown as known or asked, the newest
_PRONOUN = re.compile(r"\b(?:it|they|them)\b", re.I)
_PICTURE = re.compile(r"\b(?:does|should|must|can|will) it (?:show|have|contain|include)|\bin it\b", re.I)
_SUBJECT = re.compile(r"(?:Is|Are) (the [a-z]+)\b", re.I)


class Propose:
    """Proposes predicates that the likely images differ in, when no known question is worth asking."""

    step = "propose"

    def __init__(self, talker: Role, collection: Collection) -> None:
        self.talker, self.role, self.collection = talker, talker.name, collection
        self.prompt = load_prompt("propose", prompt_set=talker.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `pool`, longer when it had to be.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the talker may not be asked.
        """
        settings, best = current(runtime), list(likely(state))[:DESCRIBED]
        captions = list(dict.fromkeys(filter(None, (self.collection.caption(name) for name in best))))
        if len(captions) < 2 or not needs_questions(state, settings):
            return {}
        require_call(state, settings)
        known = [*map(bare, state["predicates"]), *state["asked"]]
        text = self.prompt.fill(
            request=state["request"],
            known="\n".join(list(dict.fromkeys(known))[-KNOWN:]) or "none",
            captions="\n".join(shorten(caption, 400) for caption in captions),
        )
        talker = on_budget(self.talker, state, settings)
        found, reply = await ask_one(talker, text, parse_proposal, schema=ProposalAnswer, again=again)
        return {"pool": list(dict.fromkeys([*state["pool"], *found])), **account(self, reply)}


class Word:
    """Words the proposed predicates as questions for the user; several may share one wording."""

    step = "ask"

    def __init__(self, talker: Role) -> None:
        self.talker, self.role = talker, talker.name
        self.prompt = load_prompt("ask", prompt_set=talker.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `wordings` with those of new proposals, as many as the budget allows.

        Raises:
            UnreadableReply: a reply is no question.
            BudgetSpent: the talker may not be asked.
        """
        settings = current(runtime)
        new = [predicate for predicate in unasked(state) if predicate not in state["wordings"]]
        if not new:
            return {}
        require_call(state, settings)
        new, talker = new[: remaining(state, settings)], on_budget(self.talker, state, settings)
        texts = [self.prompt.fill(request=state["request"], question=predicate) for predicate in new]
        worded = await together(ask_one(talker, text, parse_question, again=again) for text in texts)
        wordings = dict(zip(new, (words for words, _ in worded), strict=True))
        return {
            "wordings": {**state["wordings"], **wordings},
            **account(self, *(reply for _, reply in worded)),
        }


class Survey(Verify):
    """Verifies the proposed predicates on the likely images, where that is not known yet."""

    step = "survey"

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`: of the questions in their order, until one tells enough."""
        settings, belief = current(runtime), likely(state)
        known: Verdicts = {name: dict(state.get("verdicts", {}).get(name, {})) for name in belief}
        open_ = [name for name in belief if name not in state.get("unverified", {})]
        verifier = on_budget(self.verifier, state, settings)
        notes: list[NoteDict] = []
        usage: list[StepUsage] = []
        for predicates in questions(state).values() if settings.clarify == "information" else ():
            if not needs_questions({**state, "verdicts": known}, settings):
                break
            for predicate in predicates:
                left = remaining(state, settings, usage)
                found, short = await self._ask_question(predicate, open_, known, left, verifier)
                open_ = [name for name in open_ if name not in found.refused]
                notes += [*found.notes, *short]
                usage += found.usage
                if short:
                    return {"verdicts": known, "notes": notes, "usage": usage}
        return {"verdicts": known, "notes": notes, "usage": usage}


class Choose:
    """Chooses the question worth asking; makes no model call."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `question`, None when none would help, and `asked` with what it asks for."""
        settings = current(runtime)
        state = reopened(state) if has_act(state, "unclear", "aside") and is_idle(state) else state
        chosen = None if settings.clarify == "never" else best_question(state, settings)
        asked = [chosen["asks"], *chosen["also"]] if chosen else []
        return {"question": chosen, "asked": [*state["asked"], *asked], "wordings": state["wordings"]}


class AnswerTurn(Answer):
    """Builds the results and the record of the turn."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `ranking`, `results`, `turn` with this one, and the counts of turns and calls."""
        update = await super().__call__(state, runtime)
        told = update.pop("remarks", None) or fit_remarks(state, update["results"])
        turn: Turn = {
            "message": state["message"],
            "reference": state["anchor"],
            "request": request_words(state),
            "results": update["results"],
            "question": state["question"],
            "notes": [*state["notes"], *update.get("notes", [])],
            "usage": state["usage"],
            "remarks": [*state["remarks"], *told],
        }
        if where := standing_filter(state, current(runtime)):
            turn["where"] = where
        if chain := state.get("chain"):
            turn["chain"] = chain
        if anchors := state.get("anchors"):
            turn["references"] = anchors
        if "fulfilment" in update:
            turn["fulfilment"] = update["fulfilment"]
        calls = state["calls"] + sum(entry["calls"] for entry in state["usage"])
        return {**update, "turn": turn, "turns": state["turns"] + 1, "calls": calls}


async def ask(state: State) -> dict[str, Any]:
    """Interrupt until the next message, whether it answers the question or not."""
    message = interrupt({"question": state["question"]})
    if isinstance(message, str):
        message = {"query": message}
    return {
        name: message.get(name, empty)
        for name, empty in (
            *(("query", ""), ("reference", None), ("feedback", None)),
            *(("references", []), ("unlike", [])),
        )
    }


def reopened(state: State) -> State:
    """The state in which the pending question may be asked again, in the words of its predicates."""
    question = state["question"]
    if question is None:
        return state
    again = [question["asks"], *question.get("also", [])]
    asked = [each for each in state["asked"] if each not in again]
    return {
        **state,
        "asked": asked,
        "wordings": {**state["wordings"], **dict(zip(again, again, strict=True))},
    }


def named(words: str, predicate: str) -> str:
    """A question that says what it is about: a pronoun is replaced by the predicate's subject.

    Where the predicate has none it is asked itself: "Where is it?" leaves open which of two things is meant.
    """
    if not _PRONOUN.search(words) or _PICTURE.search(words) or _PRONOUN.search(predicate):
        return words
    subject = _SUBJECT.match(predicate)
    return _PRONOUN.sub(subject[1], words, count=1) if subject else predicate


def unasked(state: State) -> list[str]:
    """The proposed predicates that were neither asked for nor settled by what is wanted."""
    settled = {*state["asked"], *(predicate["question"] for predicate in state["predicates"])}
    return [predicate for predicate in state["pool"] if predicate not in settled]


def questions(state: State) -> dict[str, list[str]]:
    """The questions that may be asked, with the predicates that each asks for; none in words that were answered."""
    wordings, open_ = state["wordings"], unasked(state)
    said = {
        words
        for predicate, words in wordings.items()
        if predicate in state["pool"] and predicate not in open_
    }
    found: dict[str, list[str]] = {}
    for predicate in open_:
        if (words := wordings.get(predicate, predicate)) not in said:
            found.setdefault(words, []).append(predicate)
    return found


def likely(state: State) -> dict[str, float]:
    """The belief in the likeliest of the first images, so many that the wanted one should be one of them.

    The sum of what is left out is at most 1 - LIKELIHOOD; what remains sums to 1, in rank order.
    """
    belief = beliefs(state["ranking"][:LIKELY], state["predicates"], state.get("verdicts", {}))
    chosen: dict[str, float] = {}
    for name in sorted(belief, key=lambda name: -belief[name]):
        if sum(chosen.values()) < LIKELIHOOD:
            chosen[name] = belief[name]
    total = sum(chosen.values())
    return {name: belief[name] / total for name in belief if name in chosen}


def needs_questions(state: State, settings: Settings) -> bool:
    """Whether more questions should be looked for: none that is known tells enough, and one could."""
    if settings.clarify == "never":
        return False
    if settings.clarify == "random":
        return not questions(state)
    missing, best = entropy(likely(state).values()), best_question(state, settings)
    return missing >= WORTH and (best is None or best["information"] < ENOUGH * min(1.0, missing))


def best_question(state: State, settings: Settings) -> ClarifyingQuestion | None:
    """The question worth asking: the most informative one, the one proposed first of equal ones; or any at random.

    None when none is worth it.
    """
    belief, verdicts, asks = likely(state), state.get("verdicts", {}), questions(state)
    gains = {words: information(predicates, belief, verdicts) for words, predicates in asks.items()}
    if settings.clarify == "random":
        chosen = Random(f"{settings.seed} {state['turns']}").choice(list(asks)) if asks else ""
    else:
        chosen = max(gains, key=lambda words: gains[words], default="")
        chosen = chosen if gains.get(chosen, 0.0) >= WORTH else ""
    if not chosen:
        return None
    first, *others = asks[chosen]
    if (text := named(chosen, first)) == first != chosen:
        others = []  # it is asked by itself
    return {"text": text, "asks": first, "also": others, "information": gains[chosen]}

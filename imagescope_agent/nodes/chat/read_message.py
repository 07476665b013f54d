"""What was said: the dialogue act of each part of a message, before anything changes the dialogue state."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from langgraph.runtime import Runtime

from imagescope_agent.dialogue_acts import ACTS, LABELS, SAYING, is_yes_no, split_message
from imagescope_agent.errors import NoModel, shorten
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Choice, Request, Role
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary, vocabulary_of
from imagescope_agent.nodes.chat.message_commands import plain_answer
from imagescope_agent.nodes.chat.new_search import NEW_SEARCH, WHAT_NEXT, left_over, nothing_stands
from imagescope_agent.nodes.chat.parse_message import FOUND, has_words, is_first
from imagescope_agent.nodes.intent.drift import FUNCTION, is_english
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.prompting import load_prompt, request_text
from imagescope_agent.records import at_step
from imagescope_agent.retrieval.embedders.act_head import ActHead
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import ClarifyingQuestion, Fact, MessagePart, State, new_turn
from imagescope_agent.usage import spent

NOTHING = "nothing yet"  # is wanted
NOT_UNDERSTOOD = "I did not understand"
SURE = 0.9  # probability from which a first message is taken for something else than a search
LIKELY = 0.5  # probability from which all that was said is given up
Said = Literal["nothing", "more", "only"]
_BACK = re.compile(r"\b(?:it|that|this|them|those|one)\b", re.I)  # what was named before
_SAYS_SO = re.compile(
    r"\b(?:yes|yeah|yep|yup|sure|indeed|right|no|nope|nah|none|neither"
    r"|not (?:really|at all)|(?:is|was|are|were|do|does|did|has|had|could|should) not)\b|n't\b",
    re.I,
)
_BROKEN_OFF = re.compile(r"(?:\.\.+|\u2026|\s-)$")
_IDLE = {
    "skip": "Then that stays open.",
    "aside": "That says nothing about a picture, so nothing was changed.",
}


class ReadMessage:
    """Reads each part of a message as a dialogue act, by label probabilities, all parts in one batch.

    Args:
        classifier: the role that is asked.
        images: whose captions tell which words name what can be seen; None where that is not known.
        head: reads the parts a second time, with a sentence encoder; None without one.
    """

    step = "acts"

    def __init__(
        self, classifier: Role, images: Collection | None = None, head: ActHead | None = None
    ) -> None:
        self.classifier, self.role, self.images, self.head = classifier, classifier.name, images, head
        self.prompt = load_prompt("acts", prompt_set=classifier.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `acts`, `remarks` and the `query`, which holds only what says something of the wanted picture.

        Nothing for a message without words, and for one whose acts are known.

        Raises:
            NoModel: there is none on purpose.
            RequestRefused: the model refuses every part.
            BudgetSpent: the classifier may not be asked.
        """
        if state["acts"] or not has_words(state):
            return {}
        question, message = state["question"], state["query"]
        if question is not None and not question.get("also") and plain_answer(message):
            return {**anew(), "acts": [{"text": message, "act": "answer"}]}
        if isinstance(self.classifier.model, Absent):
            raise NoModel("the profile has no chat model that reads messages")
        require_call(state, settings := current(runtime))
        parts = split_message(message)
        choice = await self._read(parts, state, on_budget(self.classifier, state, settings))
        words, limits = vocabulary_of(self.images), bool(await self._fields())
        acts: list[MessagePart] = []
        for part, row in zip(parts, choice.probabilities, strict=False):
            known = names_wanted(part, words, state["facts"])
            likely = row if is_reply(part, question, words) else without_answer(row)
            act = act_of(likely, state, said=seen_in(part, words), known=known, limits=limits)
            acts.append({"text": part, "act": act})
            if act == "restart" and seen_in(part, words) != "nothing":  # "bin that and find a red boat"
                acts.append({"text": part, "act": "wish"})
        acts = joined(acts, message, words)
        return {
            **understood(state, acts),
            "notes": at_step(self.step, choice.notes),
            "usage": [spent(self.step, self.role, choice.usage)],
        }

    async def _read(self, parts: Sequence[str], state: State, classifier: Role) -> Choice:
        """The probabilities of the acts of each part."""
        asked = question["text"] if (question := state["question"]) else ""
        values = {
            "standing": request_text(state["facts"]) or NOTHING,
            "question": asked or "none",
            "whole": state["query"],
        }
        requests = [Request(text=self.prompt.fill(**values, part=part)) for part in parts]
        choice = await classifier.choose(requests, LABELS, max_tokens=4)
        if self.head is None:
            return choice
        both = await asyncio.to_thread(self.head.beside, choice.probabilities, parts, asked)
        return replace(choice, probabilities=both)

    async def _fields(self) -> Mapping[str, str]:
        """The fields that a message may limit the search by."""
        return {} if self.images is None else await asyncio.to_thread(self.images.describe_fields)


def act_of(  # the rules read as one, in their order
    row: Sequence[float],
    state: State,
    *,
    said: Said = "nothing",
    known: bool = False,
    limits: bool = True,
) -> str:
    """The act of a row of probabilities; what cannot be told says something, as every message did before.

    A first message is a search unless the classifier is sure that it is not, and so is a part that names what the
    collection shows; one that does nothing else says something.

    Args:
        row: a probability for each of `ACTS`.
        state: before the message.
        said: what `seen_in` finds in the part.
        known: whether it names nothing but what is wanted already.
        limits: whether the collection has fields to choose by; without, only a sure limit is taken for one.
    """
    best = max(range(len(row)), key=lambda place: row[place])
    doubtful = row[best] < SURE and (not limits or said != "nothing")
    if ACTS[best] == "filter" and (said == "only" or doubtful):
        best = max((n for n in range(len(row)) if n != best), key=lambda place: row[place])
    if ACTS[best] == "filter":
        return "filter"
    if ACTS[best] == "restart":
        if row[best] >= LIKELY and not known and not is_first(state):
            return "restart"
        best = max((n for n in range(len(row)) if n != best), key=lambda place: row[place])
    if len(set(row)) == 1:
        return "answer" if state["question"] else "wish"
    paging = ACTS[best] == "more" and not is_first(state)  # "show me more boats" has no word but of captions
    if paging and known:
        return "more"
    bare = said == "only" and not paging
    if ACTS[best] not in SAYING and (bare or (said != "nothing" and row[best] < SURE)):
        best = max((ACTS.index(act) for act in SAYING), key=lambda place: row[place])
    if is_first(state) and ACTS[best] not in SAYING and row[best] < SURE:
        return "wish"
    if ACTS[best] == "answer" and state["question"] is None:
        return "wish"
    return ACTS[best]


def is_reply(part: str, question: ClarifyingQuestion | None, vocabulary: Vocabulary) -> bool:
    """Whether a part may answer the question: to one of yes or no, a part that names other things alone does not."""
    if question is None or not is_yes_no(question["text"]) or _SAYS_SO.search(part):
        return True
    asked = Grounding([question["text"]])
    named = [phrase for phrase in phrases(part, vocabulary) if phrase.head]
    return not named or not all(asked.ungrounded(f"{phrase.count} {phrase.head}") for phrase in named)


def without_answer(row: Sequence[float]) -> list[float]:
    """The probabilities where an answer is impossible."""
    kept = [0.0 if act == "answer" else p for act, p in zip(ACTS, row, strict=False)]
    return [p / total for p in kept] if (total := sum(kept)) else kept


def names_wanted(part: str, vocabulary: Vocabulary, facts: Sequence[Fact]) -> bool:
    """Whether a part names what can be seen, and nothing but what is wanted already."""
    found = [phrase.text for phrase in phrases(part, vocabulary) if phrase.head]
    wanted = Grounding([fact["text"] for fact in facts if fact["type"] != "Removal"])
    return bool(found) and not any(map(wanted.ungrounded, found))


def seen_in(part: str, vocabulary: Vocabulary) -> Said:
    """Whether a part names what can be seen, "only" where every word does, "more" where it says something beside."""
    if not any(phrase.head for phrase in phrases(part, vocabulary)):
        return "nothing"
    words = re.findall(r"[^\W\d_]+", part.lower())
    return "only" if all(word in FUNCTION or vocabulary.has(word) for word in words) else "more"


def joined(acts: Sequence[MessagePart], message: str, vocabulary: Vocabulary) -> list[MessagePart]:
    """The acts, with what a part has of the one behind it: what is broken off and then passed over says nothing.

    "The boat was a bad idea, forget it" takes back the boat, and "what I cannot have: boats" is one part and no aside.
    """
    found, heard = list[MessagePart](), {*SAYING, "restart"}
    for part in reversed(acts):
        text, act = part["text"], part["act"]
        after = found[0] if found else None
        if after and _BROKEN_OFF.search(text) and is_passed_over(after, vocabulary):
            act = after["act"] = "skip"  # "the tree had ... well, never mind"
        elif after and after["act"] == "withdrawal" and points_back(after["text"], vocabulary):
            act = "withdrawal" if phrases(text, vocabulary) else act
        elif after and after["act"] in ("wish", "correction") and act not in heard and f"{text}:" in message:
            text, act = f"{text}: {found.pop(0)['text']}", after["act"]
        found.insert(0, {"text": text, "act": act})
    return found


def is_passed_over(after: MessagePart, vocabulary: Vocabulary) -> bool:
    """Whether what stands behind a broken-off sentence takes it back, and nothing else."""
    return after["act"] in ("skip", "withdrawal") and not phrases(after["text"], vocabulary)


def points_back(text: str, vocabulary: Vocabulary) -> bool:
    """Whether a part names nothing but what was named before it."""
    return bool(_BACK.search(text)) and not phrases(text, vocabulary)


def understood(state: State, acts: list[MessagePart]) -> dict[str, Any]:
    """The update for a message with these acts: what is left to be interpreted, and what is said about the rest."""
    if any(part["act"] == "restart" for part in acts):
        return started_over(acts)
    said = [part["text"] for part in acts if part["act"] in SAYING]
    words = state["query"] if len(said) == len(acts) else ", ".join(said)
    request = "" if is_first(state) and not said else state["request"]
    kept = {} if not said else anew()
    return {**kept, "acts": acts, "query": words or request, "request": request, "remarks": remarks(acts)}


def started_over(acts: Sequence[MessagePart]) -> dict[str, Any]:
    """The update for a message that begins a new search."""
    left = left_over(acts)
    words = ", ".join(part["text"] for part in left if part["act"] == "wish")
    told = [NEW_SEARCH, *([] if words else [WHAT_NEXT]), *remarks(left)]
    found = {"acts": left, "query": words, "request": words, "remarks": told}
    return {**nothing_stands(), **anew(), **found}


def remarks(acts: Sequence[MessagePart]) -> list[str]:
    """What is said about the parts that change nothing."""
    found = {part["act"] for part in acts}
    unclear = [part["text"] for part in acts if part["act"] == "unclear"]
    said = [*map(misunderstood, unclear)]
    if found <= {"unclear"} and unclear:
        said.append(
            "Nothing was changed. Say in other words what the picture shows, or what it must not show."
        )
    elif not found & {*SAYING, "filter", "restart"}:
        said += [_IDLE[act] for act in ("aside", "skip") if act in found and "more" not in found]
    return said


def misunderstood(text: str) -> str:
    """What is said about a part that was not understood, and where it is in another language, that it is."""
    why = "" if is_english(text) else "; it seems to be in another language than English"
    return f'{NOT_UNDERSTOOD} "{shorten(text, 60)}"{why}.'


def as_it_was_said(state: State) -> dict[str, Any]:
    """Fallback without a model: the whole message says something, and may answer the question."""
    return {**anew(), "acts": [{"text": state["query"], "act": "answer" if state["question"] else "wish"}]}


def anew() -> dict[str, Any]:
    """Nothing found yet, since the message changes what is wanted."""
    empty = new_turn()
    return {"offset": 0, **{name: empty[name] for name in FOUND}}


def has_act(state: State, *acts: str) -> bool:
    """Whether a part of the message does one of these."""
    return any(part["act"] in acts for part in state.get("acts", []))


def is_idle(state: State, *also: str) -> bool:
    """Whether the message was read and changes nothing, or nothing but what acts among `also` do."""
    acts, telling = state.get("acts", []), SAYING | {"filter"} - {*also}
    return bool(acts) and not any(part["act"] in telling for part in acts)

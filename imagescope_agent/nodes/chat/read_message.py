"""What was said: the dialogue act of each part of a message, before anything changes the dialogue state."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from langgraph.runtime import Runtime

from imagescope_agent.dialogue_acts import ACTS, LABELS, SAYING, split_message
from imagescope_agent.errors import NoModel, shorten
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Choice, Request, Role
from imagescope_agent.nodes.chat.act_remarks import remarks
from imagescope_agent.nodes.chat.joined_parts import joined
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.plain_form import in_plain_form
from imagescope_agent.nodes.chat.language.polarity import TAKES_BACK
from imagescope_agent.nodes.chat.language.rewording import in_known_words_of
from imagescope_agent.nodes.chat.language.self_repair import repaired
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary, vocabulary_of
from imagescope_agent.nodes.chat.message_commands import plain_answer
from imagescope_agent.nodes.chat.new_search import (
    NEW_SEARCH,
    SURE,
    WHAT_NEXT,
    left_over,
    names_more,
    nothing_stands,
    split_restart,
    split_turn,
    turned,
    without_doubtful_restart,
)
from imagescope_agent.nodes.chat.parse_message import FOUND, has_words, is_first
from imagescope_agent.nodes.chat.pending_question import is_reply, without_answer
from imagescope_agent.nodes.chat.statements import asks_back, exclaims, states, tells_something_else
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.prompting import load_prompt, request_text
from imagescope_agent.records import at_step
from imagescope_agent.retrieval.embedders.act_head import ActHead
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Fact, MessagePart, State, new_turn
from imagescope_agent.usage import spent

NOTHING = "nothing yet"  # is wanted
LIKELY = 0.5  # probability from which a phrase for it gives up all that was said
Said = Literal["nothing", "more", "only"]
#: What a withdrawal leaves or puts in the place of what goes: "forget all but the boat", "never mind, a red boat".
_SPARES = re.compile(r"[,;:]|\b(?:an?|but|except|save|others?|keep|instead)\b", re.I)


class ReadMessage:
    """Reads each part of a message as a dialogue act, by label probabilities, all parts in one batch.

    Args:
        classifier: the role that is asked.
        images: whose captions tell which words name what can be seen; None where that is not known.
        head: reads the parts a second time, with a sentence encoder; None without one.
        embedder: knows other words for what the captions name; None for typing errors alone.
    """

    step = "acts"

    def __init__(
        self,
        classifier: Role,
        images: Collection | None = None,
        head: ActHead | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.classifier, self.role, self.images, self.head = classifier, classifier.name, images, head
        self.embedder = embedder
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
        words, limits = vocabulary_of(self.images), bool(await self._fields())
        typed, state = message, _as_repaired(state, words)
        message = state["query"]
        parts = [piece for part in split_message(message) for piece in split_turn(part)]
        heard = [await in_known_words_of(part, words, self.embedder) for part in parts]
        choice = await self._read(heard, state, on_budget(self.classifier, state, settings))
        acts: list[MessagePart] = []
        for said, part, row in zip(parts, heard, choice.probabilities, strict=False):
            answers = is_reply(part, question, words, row[ACTS.index("answer")])
            found = parts_of(part, row if answers else without_answer(row), state, words, limits=limits)
            acts += found if len(found) > 1 else [{**found[0], "text": said}]
        acts = turned(joined(acts, message, words), state["facts"], words)
        read_as = (
            [] if message == typed else [f'I read "{shorten(typed, 120)}" as "{shorten(message, 120)}".']
        )
        update = understood(state, acts)
        return {
            **update,
            "remarks": [*state.get("remarks", []), *read_as, *update["remarks"]],
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
        parts = [begun.phrase if (begun := split_restart(part)) else part for part in parts]
        requests = [Request(text=self.prompt.fill(**values, part=part)) for part in parts]
        choice = await classifier.choose(requests, LABELS, max_tokens=4)
        if self.head is None:
            return choice
        both = await asyncio.to_thread(self.head.beside, choice.probabilities, parts, asked)
        return replace(choice, probabilities=both)

    async def _fields(self) -> Mapping[str, str]:
        """The fields that a message may limit the search by."""
        return {} if self.images is None else await asyncio.to_thread(self.images.describe_fields)


def _as_repaired(state: State, vocabulary: Vocabulary) -> State:
    """The state with the message as its author repaired it, in plain form."""
    wanted = [fact["text"] for fact in state["facts"] if fact["type"] != "Removal"]
    message = repaired(in_plain_form(state["query"], vocabulary, wanted), vocabulary)
    request = message if state["request"] == state["query"] else state["request"]
    return {**state, "query": message, "request": request}


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


def parts_of(
    part: str, row: Sequence[float], state: State, words: Vocabulary, *, limits: bool
) -> list[MessagePart]:
    """The acts of a part: one, or a new start and what is wished beside it.

    Args:
        part: of the message.
        row: the probabilities of its acts, or of those of the phrase in it that begins a new search.
        state: before the message.
        limits: as `act_of`.
        words: those of the captions; where there are none, any word that describes names what can be seen.
    """
    if asks_back(part) or exclaims(part, words) or (is_first(state) and tells_something_else(part, row)):
        return [{"text": part, "act": "aside"}]
    known, said = names_wanted(part, words, state["facts"]), seen_in(part, words)
    if begun := split_restart(part):
        if row[ACTS.index("restart")] >= LIKELY:
            rest: list[MessagePart] = [{"text": begun.rest, "act": "wish"}] if begun.rest else []
            return [{"text": begun.phrase, "act": "restart"}, *rest]
        return [{"text": part, "act": "wish" if begun.rest else act_of(row, state, said=said, limits=limits)}]
    named = said != "nothing" if words.words else names_more(part)
    row = without_doubtful_restart(row, part, named=named)
    act = act_of(row, state, said=said, known=known, limits=limits)
    if act == "withdrawal" and states(part, words):
        act = "correction"
    if known and act == "wish" and (taking := TAKES_BACK.match(part)):
        gone = part[taking.end() :]
        act = "withdrawal" if seen_in(gone, words) == "only" and not _SPARES.search(gone) else act
    if (
        is_first(state)
        and not content_words(part)
        and (asks := max(zip(row, ACTS, strict=False))[1]) == "more"
    ):
        act = asks  # of nothing
    return [{"text": part, "act": act}]


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


def understood(state: State, acts: list[MessagePart]) -> dict[str, Any]:
    """The update for a message with these acts: what is left to be interpreted, and what is said about the rest."""
    if begun := any(part["act"] == "restart" for part in acts):
        if not is_first(state):
            return started_over(acts)
        acts = [part for part in acts if part["act"] != "restart"]
    if is_first(state) and all(part["act"] == "more" for part in acts):
        idle: list[MessagePart] = [{"text": state["query"], "act": "aside"}]
        return {"acts": idle, "query": "", "request": "", "remarks": [WHAT_NEXT]}
    said = [part["text"] for part in acts if part["act"] in SAYING]
    words = state["query"] if len(said) == len(acts) and not begun else ", ".join(said)
    request = words if is_first(state) and (begun or not said) else state["request"]
    kept = {} if not said else anew()
    return {**kept, "acts": acts, "query": words or request, "request": request, "remarks": remarks(acts)}


def started_over(acts: Sequence[MessagePart]) -> dict[str, Any]:
    """The update for a message that begins a new search."""
    left = left_over(acts)
    words = ", ".join(part["text"] for part in left if part["act"] == "wish")
    told = [NEW_SEARCH, *([] if words else [WHAT_NEXT]), *remarks(left)]
    found = {"acts": left, "query": words, "request": words, "remarks": told}
    return {**nothing_stands(), **anew(), **found}


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

"""A filter in a message of a conversation: "only from last summer" limits the search by the date of images."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.dialogue_acts import SAYING
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.act_remarks import remarks
from imagescope_agent.nodes.chat.choose_limit import ChosenLimit, choose_limit
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.limits import Message, Values, added, lifted, limited
from imagescope_agent.nodes.chat.language.mentions import without_words
from imagescope_agent.nodes.chat.language.not_taken_up import named
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary, vocabulary_of
from imagescope_agent.nodes.chat.message_commands import answers_only
from imagescope_agent.nodes.chat.parse_message import is_first
from imagescope_agent.nodes.chat.read_message import anew, has_act
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import is_asked, load_prompt
from imagescope_agent.replies.filter_reply import FilterAnswer, parse_filter
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import MessagePart, State
from imagescope_agent.usage import spent

NO_FIELDS = "These pictures have no dates, cameras or fields of yours to choose by."
WHAT = "Only pictures that match are shown from now on. Say what the picture shows."
_MARKS = " \t\r\n.,;:!?-\u2013\u2014"


class FilterMessage:
    """Reads the filter in a message, where the collection has fields that say something.

    One call of the talker; where its prompt set leaves that out, the limiter tells by label probabilities what the
    message says of each value of a field in it.

    Args:
        talker: who writes a filter.
        collection: what a filter may name, and what it is checked against.
        limiter: who chooses where the talker does not write; None for nobody.
    """

    step = "filter"

    def __init__(self, talker: Role, collection: Collection, limiter: Role | None = None) -> None:
        self.talker, self.role, self.collection = talker, talker.name, collection
        self.prompt = load_prompt("filter", prompt_set=talker.prompt_set)
        self.asked = is_asked("filter", talker.prompt_set) and not isinstance(talker.model, Absent)
        self.limiter = None if self.asked else limiter
        self.choice = load_prompt("limit", prompt_set=limiter.prompt_set) if limiter else None

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `where` where the message changes it, and `acts` and `query` without the words that say so.

        Raises:
            UnreadableReply: the reply holds no filter, one that names what the collection has not, or one that the
                message does not say.
            BudgetSpent: the talker may not be asked.
        """
        told = bool(state["acts"]) if self.limiter else has_act(state, *SAYING, "filter")
        if answers_only(state["message"]) or not told:
            return {}
        asked = self.asked or self.limiter is not None
        fields = await asyncio.to_thread(self.collection.describe_fields) if asked else {}
        if not fields:
            return not_limited(state, NO_FIELDS)
        require_call(state, settings := current(runtime))
        if self.limiter is not None:
            return await self._chosen(state, settings, fields)
        text = self.prompt.fill(
            today=date.today().isoformat(),
            fields="\n".join(f"- {name}: {told}" for name, told in fields.items()),
            standing=state["where"] or "none",
            message=state["message"],
        )
        talker = on_budget(self.talker, state, settings)
        found, reply = await ask_one(talker, text, parse_filter, schema=FilterAnswer, again=again)
        if found.change == "keep":
            return {**not_limited(state), **account(self, reply)}
        try:
            where = await asyncio.to_thread(self._where, found, state, fields)
        except BadInput as error:  # a model's filter is checked like anybody's
            raise reply.unusable(str(error), text) from error
        left = [_without(part, found.words) for part in state["acts"]]
        return {**with_limit(state, where, left), **account(self, reply)}

    async def _chosen(self, state: State, settings: Settings, fields: Mapping[str, str]) -> dict[str, Any]:
        """As the whole, by choice of the limiter."""
        assert self.limiter is not None and self.choice is not None
        message = await asyncio.to_thread(self._message, state, fields)
        limiter = on_budget(self.limiter, state, settings)
        found = await choose_limit(limiter, self.choice, message, state["where"])
        told = {"usage": [spent(self.step, self.limiter.name, found.usage)], "notes": found.notes}
        if found.where is None:
            return {**not_limited(state), **(told if found.usage else {})}
        if found.where:
            await asyncio.to_thread(self.collection.matching, found.where)
        words = vocabulary_of(self.collection)
        left = [_limiting(part, found, words) for part in state["acts"]]
        return {**with_limit(state, found.where, left), **told}

    def _message(self, state: State, fields: Mapping[str, str]) -> Message:
        names = [name.strip("`") for name in fields]
        values = {name: Values(*self.collection.field_values(name)) for name in names}
        return Message(state["message"], values, date.today())

    def _where(self, found: FilterAnswer, state: State, fields: Mapping[str, str]) -> str:
        """The filter that holds from now on.

        Raises:
            BadInput: see `limits.limited`.
        """
        standing = state["where"]
        if found.change == "remove":
            return lifted(found.filter.strip(), standing)
        make = added if found.change == "add" else limited
        where = make(found.filter.strip(), standing, self._message(state, fields))
        self.collection.matching(where)
        return where


def not_limited(state: State, why: str = "") -> dict[str, Any]:
    """The update for a message that sets no filter: what was taken for one was not understood, and the user is told."""
    if not has_act(state, "filter"):
        return {}
    acts: list[MessagePart] = [
        {**part, "act": "unclear"} if part["act"] == "filter" else part for part in state["acts"]
    ]
    told = [*state.get("remarks", []), *remarks(acts), *([why] if why else [])]
    return {"acts": acts, "remarks": list(dict.fromkeys(told))}


def with_limit(state: State, where: str, left: Sequence[MessagePart]) -> dict[str, Any]:
    """The update for a message that changes the filter.

    Args:
        state: before.
        where: the filter from now on.
        left: the parts of the message without the words that limit, of which nothing else is made.
    """
    if is_folded(state):
        return {"where": where}
    acts = list(left)
    said = [part["text"] for part in acts if part["act"] in SAYING]
    query = state["query"] if acts == state["acts"] else ", ".join(said) or state["request"]
    request = state["request"]
    if is_first(state):
        query, request = (query, query) if said else ("", "")
    told = [*remarks(acts), *([WHAT] if is_first(state) and not said else [])]
    return {**anew(), "acts": acts, "query": query, "request": request, "where": where, "remarks": told}


def is_folded(state: State) -> bool:
    """Whether the message was interpreted before it came to the filter, by an older version that was stopped there."""
    return any(entry["step"] in ("fold", "understand") for entry in state["usage"])


def _limiting(part: MessagePart, found: ChosenLimit, vocabulary: Vocabulary) -> MessagePart:
    """A part without the words of the limits that were chosen in it, or as one where it names nothing else."""
    text, limiting = part["text"], {**part, "act": "filter"}
    names = content_words(" ".join([*found.fields, "filter", "limit"])) & content_words(text)
    if part["act"] == "filter" or (not found.said and (names or part["act"] not in SAYING)):
        return limiting  # type: ignore[return-value]
    if not any(value.casefold() in text.casefold() for value in found.said):
        return part
    left = without_words(text, found.said, found.fields)
    says = part["act"] in SAYING and (phrases(left, vocabulary) or named(left))
    return {**part, "text": left} if says else limiting  # type: ignore[return-value]


def _without(part: MessagePart, words: str) -> MessagePart:
    """A part without the words of a limit, or as one where nothing else is in it."""
    text, words = part["text"], words.strip(_MARKS)
    if part["act"] == "filter" or not words:
        return part
    if text.strip(_MARKS).casefold() in words.casefold():
        return {**part, "act": "filter"}
    left = re.sub(rf"(?<!\w){re.escape(words)}(?!\w)", " ", text, count=1, flags=re.I)
    if left == text:
        return part
    left = re.sub(r"\s+", " ", left).strip(_MARKS)
    return {**part, "text": left} if content_words(left) else {**part, "act": "filter"}

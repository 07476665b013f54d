"""A filter in a message of a conversation: "only from last summer" limits the search by the date of images."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.dialogue_acts import SAYING
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.language.limits import Message, Values, added, lifted, limited
from imagescope_agent.nodes.chat.message_commands import answers_only
from imagescope_agent.nodes.chat.parse_message import is_first
from imagescope_agent.nodes.chat.read_message import anew, has_act, remarks
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import is_asked, load_prompt
from imagescope_agent.replies.filter_reply import FilterAnswer, parse_filter
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import MessagePart, State

NO_FIELDS = "These pictures have no dates, cameras or fields of yours to choose by."
WHAT = "Only pictures that match are shown from now on. Say what the picture shows."
_MARKS = " \t\r\n.,;:!?-\u2013\u2014"


class FilterMessage:
    """One call of the talker, where the collection has fields that say something and the message has words of its own.

    Args:
        talker: who is asked; one whose prompt set leaves the step out is not.
        collection: what a filter may name, and what it is checked against.
    """

    step = "filter"

    def __init__(self, talker: Role, collection: Collection) -> None:
        self.talker, self.role, self.collection = talker, talker.name, collection
        self.prompt = load_prompt("filter", prompt_set=talker.prompt_set)
        self.asked = is_asked("filter", talker.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `where` where the message changes it, and `acts` and `query` without the words that say so.

        Raises:
            UnreadableReply: the reply holds no filter, one that names what the collection has not, or one that the
                message does not say.
            BudgetSpent: the talker may not be asked.
        """
        if answers_only(state["message"]) or not has_act(state, *SAYING, "filter"):
            return {}
        fields = await asyncio.to_thread(self.collection.describe_fields) if self.asked else {}
        if not fields:
            return not_limited(state, NO_FIELDS)
        require_call(state, settings := current(runtime))
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
        return {**with_limit(state, where, found.words), **account(self, reply)}

    def _where(self, found: FilterAnswer, state: State, fields: Mapping[str, str]) -> str:
        """The filter that holds from now on.

        Raises:
            BadInput: see `limits.limited`.
        """
        standing = state["where"]
        if found.change == "remove":
            return lifted(found.filter.strip(), standing)
        names = [name.strip("`") for name in fields]
        values = {name: Values(*self.collection.field_values(name)) for name in names}
        message = Message(state["message"], values, date.today())
        make = added if found.change == "add" else limited
        where = make(found.filter.strip(), standing, message)
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


def with_limit(state: State, where: str, words: str) -> dict[str, Any]:
    """The update for a message that changes the filter; nothing else is made of the words that say so."""
    if is_folded(state):
        return {"where": where}
    acts = [left for part in state["acts"] if (left := _without(part, words))]
    said = [part["text"] for part in acts if part["act"] in SAYING]
    query = state["query"] if acts == state["acts"] else ", ".join(said) or state["request"]
    request = state["request"]
    if is_first(state):
        query, request = (query, query) if said else ("", "")
    told = [*state.get("remarks", []), *([WHAT] if is_first(state) and not said else [])]
    return {**anew(), "acts": acts, "query": query, "request": request, "where": where, "remarks": told}


def is_folded(state: State) -> bool:
    """Whether the message was interpreted before it came to the filter, by an older version that was stopped there."""
    return any(entry["step"] in ("fold", "understand") for entry in state["usage"])


def _without(part: MessagePart, words: str) -> MessagePart | None:
    """A part without the words of a limit; None where nothing is left that says anything."""
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

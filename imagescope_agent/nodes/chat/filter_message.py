"""A filter in a message of a conversation: "only from last summer" limits the search by the date of images."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.message_commands import answers_only
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import is_asked, load_prompt
from imagescope_agent.replies.filter_reply import FilterAnswer, parse_filter
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


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
        """Return `where` where the message changes it.

        Raises:
            UnreadableReply: the reply holds no filter, or one that names what the collection has not.
            BudgetSpent: the talker may not be asked.
        """
        fields = await asyncio.to_thread(self.collection.describe_fields) if self.asked else {}
        if not fields or answers_only(state["message"]):
            return {}
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(
            today=date.today().isoformat(),
            fields="\n".join(f"- {name}: {told}" for name, told in fields.items()),
            standing=state["where"] or "none",
            message=state["message"],
        )
        talker = on_budget(self.talker, state, settings)
        found, reply = await ask_one(talker, text, parse_filter, schema=FilterAnswer, again=again)
        if found:
            try:
                await asyncio.to_thread(self.collection.matching, found)
            except BadInput as error:  # a model's filter is checked like anybody's
                raise reply.unusable(str(error), text) from error
        return {**({} if found is None else {"where": found}), **account(self, reply)}

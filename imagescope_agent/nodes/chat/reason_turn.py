"""The chain of thought of a conversation's turn: all that is wanted by then, as a modification of its reference."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.runtime import Runtime

from imagescope_agent.nodes.chat.answer_words import request_words
from imagescope_agent.nodes.chat.first_message import ALIKE
from imagescope_agent.nodes.intent.reason import Reason, reasons, undecided, understood
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


class ReasonTurn(Reason):
    """As `Reason`, about the whole request; without a reference it is a modification of a blank one.

    What was folded together stays as it is: the chain decides what is retrieved, no fact. Where the roles write it,
    it is what they understood before, without a call.
    """

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `chain`; errors as `Reason`."""
        if current(runtime).chain_writer == "roles":
            return {"chain": understood(state)}
        update = await super().__call__({**state, "query": request_words(state)}, runtime, again)
        return {name: value for name, value in update.items() if name not in ("reference_caption", "intent")}


class AfterRetrieve:
    """Whether a turn's chain is written: by the setting `reasoning`, where the embedder can and something is said.

    Args:
        embedder: of the conversation.
    """

    to = ("reason", "predicates")

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def __call__(self, state: State, runtime: Runtime[Settings]) -> Literal["reason", "predicates"]:
        """The node that comes next."""
        reasoning = current(runtime).reasoning
        if reasoning == "fast" or state["request"] in ("", ALIKE) or not reasons(self.embedder):
            return "predicates"
        return "reason" if reasoning == "full" or undecided(state, self.embedder) else "predicates"

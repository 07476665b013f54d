"""The first node of a round of ImageScope's chat procedure: the previous target describes the reference."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.begin import Begin
from imagescope_agent.prompting import NO_REFERENCE
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.settings import Settings
from imagescope_agent.state import SearchInput, State


class BeginRound:
    """As `Begin`, with the core description of the round before as the description of the reference."""

    def __init__(self, collection: Collection, embedder: Embedder | None = None) -> None:
        self.begin = Begin(collection, embedder)

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return every key of a turn, empty, and the `reference_caption`.

        Raises:
            BadInput: an empty or too long query, or a filter that cannot be used.
        """
        intent = state.get("intent")
        given: SearchInput = {
            "query": state["query"],
            "reference": state.get("reference"),
            "references": state.get("references", []),
            "unlike": state.get("unlike", []),
        }
        cleared = await self.begin(given, runtime)  # type: ignore[arg-type]
        return {**cleared, "reference_caption": (intent["core"] if intent else "") or NO_REFERENCE}

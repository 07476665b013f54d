"""What retrieves candidates for a graph that verifies or judges: the embedder, or a model that reasons and embeds."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.intent.reason import RetrieveReasoned
from imagescope_agent.nodes.retrieve import Retrieve, outside, with_captions
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


def first_stage(
    embedder: Embedder,
    collection: Collection,
    captions: CaptionOnDemand | None = None,
    first: Embedder | None = None,
) -> Retrieve | RetrieveReasoned:
    """By descriptions of the target; by one vector of reference and text where a `first` reasons and embeds.

    The chain that it reads is what was understood before, so that it costs no call; none with `reasoning` "fast".
    """
    if first is not None:
        return _FirstReasoned(first, collection, embedder, captions)
    return Retrieve(embedder, collection, captions)


class _FirstReasoned(RetrieveReasoned):
    """Says what `Retrieve` says of the collection and the query, and makes the captions that it makes."""

    def __init__(
        self,
        embedder: Embedder,
        collection: Collection,
        pictures: Embedder,
        captions: CaptionOnDemand | None,
    ) -> None:
        super().__init__(embedder, collection, pictures)
        self.captions = captions

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """As `RetrieveReasoned`, with `notes`."""
        settings = current(runtime)

        def search() -> dict[str, Any]:
            return self.search(state, settings)

        found = await with_captions(search, self.captions, self.collection, settings, again=False)
        return {**found, "notes": [*found["notes"], *outside(self.pictures, self.collection, state)]}

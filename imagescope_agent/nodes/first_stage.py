"""What retrieves candidates for a graph that verifies or judges: the embedder, or a model that reasons and embeds."""

from __future__ import annotations

from imagescope_agent.nodes.intent.reason import RetrieveReasoned
from imagescope_agent.nodes.retrieve import Retrieve
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand
from imagescope_agent.retrieval.protocols import Collection, Embedder


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
        return RetrieveReasoned(first, collection)
    return Retrieve(embedder, collection, captions)

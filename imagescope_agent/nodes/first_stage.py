"""What retrieves candidates for a graph that verifies or judges: the embedder, or a model that reasons and embeds."""

from __future__ import annotations

from imagescope_agent.nodes.intent.reason import RetrieveReasoned
from imagescope_agent.nodes.intent.reformulate import RetrieveMore
from imagescope_agent.nodes.retrieve import Retrieve
from imagescope_agent.services import Services


def first_stage(services: Services) -> Retrieve | RetrieveReasoned:
    """By descriptions of the target; by one vector of reference and text where the profile names a `first_stage`.

    The chain that it reads is what was understood before, so that it costs no call; none with `reasoning` "fast".
    """
    if services.first_stage is not None:
        return RetrieveReasoned(services.first_stage, services.collection)
    return Retrieve(services.embedder, services.collection, services.captions)


def second_search(services: Services) -> RetrieveMore:
    """By descriptions; what it finds beside a `first_stage` comes after that: scores of two spaces do not compare."""
    same = services.first_stage is None
    return RetrieveMore(services.embedder, services.collection, services.captions, same_space=same)

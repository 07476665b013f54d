"""Whether two embedders find the same image first: where they do, a chain of thought has little to add."""

from __future__ import annotations

from typing import Any

from imagescope_agent.nodes.intent.reason import RetrieveReasoned
from imagescope_agent.nodes.retrieve import RetrievePlain
from imagescope_agent.settings import Settings
from imagescope_agent.state import State


class RetrieveTwice(RetrieveReasoned):
    """Retrieves by the vector without a chain, and says whether the collection's own vectors agree.

    Asked twice where `Settings.agree_within` is given, `reasoning` is "auto", and another embedder than the one that
    reasons made the collection's own vectors; no chat model is asked.
    """

    def search(self, state: State, settings: Settings) -> dict[str, Any]:
        """As `RetrieveReasoned`, with `agreed`: None where nothing was compared."""
        found = super().search(state, settings)
        within = settings.agree_within
        if self.pictures is self.embedder or within is None or settings.reasoning != "auto":
            return {**found, "agreed": None}
        own = RetrievePlain(self.pictures, self.collection).search(state, settings)
        agreed = set(found["ranking_retrieve"][:1]) <= set(own["ranking_retrieve"][:within])
        return {**found, "agreed": agreed, "usage": [*found["usage"], *own["usage"]]}

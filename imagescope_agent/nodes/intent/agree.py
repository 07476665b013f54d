"""Whether two embedders find the same image first: where they do, a chain of thought has little to add."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imagescope_agent.nodes.intent.reason import RetrieveReasoned, lead
from imagescope_agent.nodes.retrieve import RetrievePlain
from imagescope_agent.records import note
from imagescope_agent.settings import Settings
from imagescope_agent.state import State


class RetrieveTwice(RetrieveReasoned):
    """Retrieves by the vector without a chain, and says whether the collection's own vectors agree.

    Asked twice where `Settings.agree_within` is given (of words alone, `agree_within_text`), `reasoning` is "auto", and
    another embedder than the one that reasons made the collection's own vectors; no chat model is asked. With a
    reference they agree only where the first image leads by `Settings.agree_lead`. Where nothing can be compared a note
    says so.
    """

    def search(self, state: State, settings: Settings) -> dict[str, Any]:
        """As `RetrieveReasoned`, with `agreed`: None where nothing was compared."""
        found = super().search(state, settings)
        within = settings.agree_within
        if state.get("reference") is None:
            within = settings.agree_within_text or within
        if within is None or settings.reasoning != "auto":
            return {**found, "agreed": None}
        if self.pictures is self.embedder:
            return _not_compared(found, "the profile names no first_stage beside its embedder")
        wide = replace(settings, top_k=max(settings.top_k, within))
        own = RetrievePlain(self.pictures, self.collection).search(state, wide)
        found |= {"usage": [*found["usage"], *own["usage"]]}
        count = len(own["ranking_retrieve"])
        if 1 < count < within:  # any image would be among them; of one there is nothing to decide
            return _not_compared(found, f"{count} images are fewer than {within}")
        agreed = set(found["ranking_retrieve"][:1]) <= set(own["ranking_retrieve"][:within])
        if state.get("reference") is not None:  # words alone gain nothing from a chain once both agree
            agreed &= lead(found) >= settings.agree_lead
        return {**found, "agreed": agreed}


def _not_compared(found: dict[str, Any], why: str) -> dict[str, Any]:
    """What was found, with a note that the lead decides instead."""
    told = f"agree_within compares nothing: {why}; the lead of the first image decides"
    return {**found, "agreed": None, "notes": [*found["notes"], note("embed", "fallback", told)]}

"""Query reformulation when no candidate satisfies every predicate."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.intent.references import bare
from imagescope_agent.nodes.retrieve import Retrieve
from imagescope_agent.nodes.verify import satisfies
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.settings import Settings
from imagescope_agent.state import Candidate, Predicate, State


def unsatisfied(state: State) -> list[Predicate]:
    """The predicates that the best candidate is not known to satisfy."""
    if not state["ranking_verify"]:
        return []
    answers = state.get("verdicts", {}).get(state["ranking_verify"][0], {})
    return [predicate for predicate in state["predicates"] if not satisfies(answers, predicate)]


class Reformulate:
    """Replaces the core description by what the best candidate lacks; makes no model call.

    The embedding of a long description weighs its parts unequally. What it neglected is searched for alone, beside
    the fuller descriptions. Only what must be present is repeated: embeddings do not represent negation.
    """

    async def __call__(self, state: State) -> dict[str, Any]:
        """Return `intent` and one more of `reflections`."""
        missing = [each for each in unsatisfied(state) if each["expected"] == "Yes"]
        intent = state["intent"]
        if missing:
            intent = {**intent, "core": " ".join(_words(state, each) for each in missing)}
        return {"intent": intent, "reflections": state["reflections"] + 1}


class RetrieveMore(Retrieve):
    """Retrieves again and merges with the earlier candidates, each by its best score.

    Args:
        embedder, collection, captions: as `Retrieve`.
        same_space: whether the earlier candidates were found in the same space; else the new ones come after them.
    """

    def __init__(
        self,
        embedder: Embedder,
        collection: Collection,
        captions: CaptionOnDemand | None = None,
        *,
        same_space: bool = True,
    ) -> None:
        super().__init__(embedder, collection, captions)
        self.same_space = same_space

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: all found so far."""
        update = await super().__call__(state, runtime)
        if not self.same_space:
            known = {each["id"] for each in state["candidates"]}
            every = [
                *state["candidates"],
                *(each for each in update["candidates"] if each["id"] not in known),
            ]
            return {**update, "candidates": every, "ranking_retrieve": [each["id"] for each in every]}
        best: dict[str, float] = {}
        for each in [*state["candidates"], *update["candidates"]]:
            best[each["id"]] = max(each["retrieve"], best.get(each["id"], -1.0))
        ranking = sorted(best, key=lambda name: -best[name])
        candidates: list[Candidate] = [{"id": name, "retrieve": best[name]} for name in ranking]
        return {**update, "candidates": candidates, "ranking_retrieve": ranking}


def _words(state: State, predicate: Predicate) -> str:
    """The instruction that a predicate checks, else the predicate's question."""
    steps, predicates = state["intent"]["steps"], state["predicates"]
    if len(steps) == len(predicates):
        return steps[predicates.index(predicate)]["text"]
    return bare(predicate)

"""When nothing satisfies the query: say again, on its own, what the search did not hear, and look further."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.retrieve import Retrieve
from imagescope_agent.nodes.verify import satisfies
from imagescope_agent.settings import Settings
from imagescope_agent.state import Candidate, Predicate, State


def unsatisfied(state: State) -> list[Predicate]:
    """The predicates that the best candidate is not known to satisfy."""
    if not state["ranking_verify"]:
        return []
    answers = state.get("verdicts", {}).get(state["ranking_verify"][0], {})
    return [predicate for predicate in state["predicates"] if not satisfies(answers, predicate)]


class Reformulate:
    """Put what the best candidate lacks in the place of the coarsest description; asks nobody.

    The embedding of a long description hears its parts unequally. What it did not hear is searched for alone,
    beside the fuller descriptions, which keep the search where it was. Only what must be there is repeated: an
    embedding that is told what must be absent looks for it.
    """

    async def __call__(self, state: State) -> dict[str, Any]:
        """Return `intent` and one more of `reflections`."""
        missing = [each for each in unsatisfied(state) if each["expected"] == "Yes"]
        intent = state["intent"]
        if missing:
            intent = {**intent, "core": " ".join(_words(state, each) for each in missing)}
        return {"intent": intent, "reflections": state["reflections"] + 1}


class RetrieveMore(Retrieve):
    """Search again and add what is found to what was found; nothing falls out of the ranking."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: all found so far, each by its best score."""
        update = await super().__call__(state, runtime)
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
    return predicate["question"]

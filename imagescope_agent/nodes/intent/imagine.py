"""Steps of X^R (arXiv 2601.14245): imagination from the picture, fused similarities, few questions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import only_first, reference_ref
from imagescope_agent.nodes.intent.drift import drift
from imagescope_agent.nodes.intent.references import bare
from imagescope_agent.nodes.intent.understand import Predicates, reference_words
from imagescope_agent.nodes.judging.penalize_rejected import search_unlike
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.nodes.retrieve import Retrieve
from imagescope_agent.nodes.standing_filter import standing_filter
from imagescope_agent.nodes.verify import Verify
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import note
from imagescope_agent.replies.parsing import parse_caption
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, plain_intent, references_of
from imagescope_agent.usage import spent

CANDIDATES = 100  # that the fused similarities leave
QUESTIONS = 3
SMOOTHING = 60  # k of reciprocal rank fusion (Cormack et al., SIGIR 2009)


class Imagine:
    """The imagination agent of the picture: what the wanted image shows, from the reference itself and the query.

    Args:
        seer: a model that reads images.
        collection: holds the reference.
        embedder: detects a description that drifts from the query; None accepts any description.
    """

    step = "imagine"

    def __init__(self, seer: Role, collection: Collection, embedder: Embedder | None = None) -> None:
        self.seer, self.role, self.collection, self.embedder = seer, seer.name, collection, embedder
        self.prompt = load_prompt("target", prompt_set=seer.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`, its core description replaced by this one; nothing without a reference.

        Raises:
            UnreadableReply: the reply holds no words, or has nothing to do with the request.
            BudgetSpent: the model may not be asked.
        """
        reference = state.get("reference")
        if reference is None:
            return {}
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(instruction=state["query"], reference=state["reference_caption"])
        seer = on_budget(self.seer, state, settings)
        picture = await reference_ref(reference, self.collection)
        described, reply = await ask_one(seer, text, parse_caption, images=(picture,), again=again)
        alone, known = plain_intent(described), reference_words(state)
        if problem := await drift(alone, state["query"], known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        notes = only_first(self.step, state)
        return {"intent": {**state["intent"], "core": described}, **account(self, reply, notes=notes)}


def imagined_from_text(state: State) -> dict[str, Any]:
    """Fallback: what was imagined from the text alone."""
    return {}


class RetrieveFused(Retrieve):
    """The similarity agents: each description against pictures and against captions, by reciprocal rank.

    The score of an image is the sum over the descriptions of (1-tau)/(60+rank by pictures) + tau/(60+rank by captions),
    over what an image that is first everywhere has: 1 at most. Ranks beyond those retrieved count nothing.
    """

    def _search(self, texts: list[str], state: State, settings: Settings) -> dict[str, Any]:
        start = time.perf_counter()
        self.collection.require_weights(self.embedder.weights)
        most = max(CANDIDATES, settings.searched, settings.k)
        options: dict[str, Any] = {
            "exclude": self.collection.alike([] if settings.keep_reference else references_of(state)),
            "once": self.collection.merges_copies,
            "where": standing_filter(state, settings),
        }
        vectors = self.embedder.texts(list(dict.fromkeys(texts)))

        def fused(count: int, unlike: list[str]) -> list[tuple[str, float]]:
            """The excluded are left out after the fusion, so that they change nobody's score by a rank."""
            out = self.collection.alike(unlike)
            rankings: list[tuple[float, Sequence[str]]] = []
            for vector in vectors:
                for captions, weight in ((0.0, 1 - settings.tau), (1.0, settings.tau)):
                    found = self.collection.search(vector, captions, count + len(out), **options)
                    rankings.append((weight, [name for name, _ in found]))
            scores = reciprocal_rank_fusion(rankings)
            best = sorted(scores, key=lambda name: -round(scores[name], 12))
            return [(name, scores[name]) for name in best if name not in out][:count]

        found = search_unlike(fused, most, state, settings, self.embedder, self.collection)
        return {
            "candidates": [{"id": name, "retrieve": score} for name, score in found],
            "ranking_retrieve": [name for name, _ in found],
            "usage": [spent("retrieve", "embedder", {"seconds": time.perf_counter() - start})],
        }


def reciprocal_rank_fusion(rankings: Iterable[tuple[float, Sequence[str]]]) -> dict[str, float]:
    """The fused score by id, from 0 to 1, in order of the first ranking that has the id.

    Args:
        rankings: the weight of each, and its ids, best first.
    """
    scores: dict[str, float] = {}
    total = 0.0
    for weight, ids in rankings:
        total += weight
        for rank, name in enumerate(ids, start=1):
            scores[name] = scores.get(name, 0.0) + weight * (SMOOTHING + 1) / (SMOOTHING + rank)
    return {name: score / total for name, score in scores.items()} if total else scores


class FewPredicates(Predicates):
    """The question agents: as `Predicates`, the first `QUESTIONS` of them."""

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `predicates`, and a note on what is not asked about; errors as of `Predicates`."""
        update = await super().__call__(state, runtime, again)
        every = update["predicates"]
        left = ", ".join(repr(bare(each)) for each in every[QUESTIONS:])
        told = [note(self.step, "unchecked", f"X^R asks {QUESTIONS} questions; not {left}")] if left else []
        notes = [*update.get("notes", []), *told]
        return {**update, "predicates": every[:QUESTIONS], **({"notes": notes} if notes else {})}


class VerifyWeighed(Verify):
    """As `Verify`, ranked by the number of satisfied predicates times the fused similarity."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return what `Verify` returns; ties keep their order, and what was not verified comes last."""
        update = await super().__call__(state, runtime)
        similar = {each["id"]: each["retrieve"] for each in state["candidates"]}
        worth = {name: count * max(0.0, similar[name]) for name, count in update["matches"].items()}
        ranking = state["ranking_retrieve"]
        verified = sorted((name for name in ranking if name in worth), key=lambda name: -worth[name])
        return {**update, "ranking_verify": [*verified, *(name for name in ranking if name not in worth)]}

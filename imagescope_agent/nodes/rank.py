"""Ranking without verification: describe the target, soften what was rejected, let one judge order the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.collection.embed import Embedder
from imagescope_agent.collection.index import Collection
from imagescope_agent.errors import shorten
from imagescope_agent.ledger import at_step, note, require_call, spent
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.asking import ask_one, on_budget, unusable
from imagescope_agent.nodes.drift import drift
from imagescope_agent.nodes.judge import JudgeTop
from imagescope_agent.nodes.understand import reference_words
from imagescope_agent.parsing import parse_caption
from imagescope_agent.prompting import load_prompt
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Candidate, Intent, State


class Target:
    """Put the wanted image into words (CoTRR's first step for composed retrieval): one call, none without reference.

    Args:
        reasoner: who is asked.
        embedder: tells other words from another subject; None for taking any words.
    """

    step = "target"

    def __init__(self, reasoner: Role, embedder: Embedder | None = None) -> None:
        self.reasoner, self.role, self.embedder = reasoner, reasoner.name, embedder
        self.prompt = load_prompt("target", prompt_set=reasoner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`: the same description at every grain; a text query describes itself.

        Raises:
            UnreadableReply: the reply holds no words, or has nothing to do with the request.
            BudgetSpent: the reasoner may not be asked.
        """
        if state.get("reference") is None:
            return {"intent": same_at_every_grain(state["query"])}
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(instruction=state["query"], reference=state["reference_caption"])
        reasoner = on_budget(self.reasoner, state, settings)
        described, reply = await ask_one(reasoner, text, parse_caption, again=again)
        intent, known = same_at_every_grain(described), reference_words(state)
        if problem := await drift(intent, state["query"], known, self.prompt.examples, self.embedder):
            raise unusable(problem, text, reply)
        return {
            "intent": intent,
            "notes": at_step(self.step, reply.notes),
            "usage": [spent(self.step, self.role, reply.usage)],
        }


class JudgeBest(JudgeTop):
    """Let a judge order the best retrieved candidates.

    Args:
        judge: a name of `judges.JUDGES`, for when the settings name none.
        most: how many candidates it is shown.
    """

    def __init__(self, model: Role, collection: Collection, *, judge: str, most: int) -> None:
        super().__init__(model, collection, judge=judge)
        self.most = most

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `judgement` and the final `ranking`."""
        ranking = state["ranking_verify"] or state["ranking_retrieve"]
        return await self.judged(state, current(runtime), ranking, self.most)


class Soften:
    """What a conversation rejected is left out and what looks like it falls back; every rejection shrinks the space.

    Args:
        collection: whose image vectors tell what looks alike.
    """

    step = "soften"

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve` without the rejected; nothing when none was.

        What was rejected but is not in the collection leaves a note.
        """
        named = list(dict.fromkeys(state.get("rejected", [])))
        rejected = [name for name in named if name in self.collection]
        notes = [
            note(self.step, "skipped", f"{shorten(name)!r} was rejected but is not in the collection")
            for name in named
            if name not in self.collection
        ]
        if not rejected:
            return {"notes": notes} if notes else {}
        settings = current(runtime)
        likeness = {
            candidate["id"]: max(self._alike(candidate["id"], name) for name in rejected)
            for candidate in state["candidates"]
        }
        out = sorted(self.collection.alike(rejected))
        softened = soften(state["candidates"], out, likeness, weight=settings.penalty)
        least = min(len(softened), settings.k)
        kept = softened[: max(least, round(len(softened) * settings.shrink ** len(rejected)))]
        return {
            "candidates": kept,
            "ranking_retrieve": [candidate["id"] for candidate in kept],
            "notes": notes,
        }

    def _alike(self, one: str, other: str) -> float:
        vectors = (self.collection.image_vector(name).ravel() for name in (one, other))
        first, second = vectors
        return float(first @ second)


def soften(
    candidates: Sequence[Candidate], rejected: Sequence[str], likeness: Mapping[str, float], *, weight: float
) -> list[Candidate]:
    """The candidates that were not rejected, by score less `weight` times likeness, ties as they were."""
    kept: list[Candidate] = [
        {"id": each["id"], "retrieve": each["retrieve"] - weight * max(0.0, likeness[each["id"]])}
        for each in candidates
        if each["id"] not in set(rejected)
    ]
    return sorted(kept, key=lambda each: -each["retrieve"])


def same_at_every_grain(text: str) -> Intent:
    """An intent of one description."""
    return {"steps": [], "core": text, "enhanced": text, "full": text}

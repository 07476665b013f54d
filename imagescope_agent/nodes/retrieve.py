"""Stage 1, retrieval: the images nearest to the descriptions of the target."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from imagescope_agent.errors import shorten
from imagescope_agent.nodes.intent.references import distinct
from imagescope_agent.nodes.judging.penalize_rejected import picture_vector, search_unlike
from imagescope_agent.nodes.standing_filter import standing_filter
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand, missing_captions
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.exclusions import ANYTHING, Wish, split_exclusions, without_excluded
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, references_of
from imagescope_agent.usage import StepUsage, spent


class Retrieve:
    """Retrieves by the mean over the descriptions d of (1-tau)*cos(d, image) + tau*cos(d, caption).

    Where nobody said which of several references an instruction is about, the pictures count as much as the words. An
    embedder that composes gives the reference with the query's own words too, by the weight `Settings.composed`.
    """

    def __init__(
        self, embedder: Embedder, collection: Collection, captions: CaptionOnDemand | None = None
    ) -> None:
        self.embedder, self.collection, self.captions = embedder, collection, captions

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: the max(searched, k) best images."""
        settings = current(runtime)

        def search() -> dict[str, Any]:
            return self._search(descriptions(state), state, settings)

        found = await with_captions(search, self.captions, self.collection, settings)
        said = outside(self.embedder, self.collection, state, settings.exclusions)
        return {**found, "notes": [*found["notes"], *said]}

    def _search(self, texts: list[str], state: State, settings: Settings) -> dict[str, Any]:
        start = time.perf_counter()
        vectors = text_vectors(texts, self.embedder, settings.exclusions)
        if unassigned(state):
            references = distinct(references_of(state), self.collection)
            shown = plain_query(state["query"], references, self.embedder, self.collection)
            told = _unit(vectors.mean(axis=0, keepdims=True), otherwise=vectors[:1])
            vectors = np.concatenate([told, _unit(shown.mean(axis=0, keepdims=True), otherwise=shown[:1])])
        elif settings.composed and composes(self.embedder, state):
            references = distinct(references_of(state), self.collection)
            shown = plain_query(state["query"], references, self.embedder, self.collection)
            told, whole = (
                _unit(rows.mean(axis=0, keepdims=True), otherwise=rows[:1]) for rows in (vectors, shown)
            )
            vectors = (1 - settings.composed) * told + settings.composed * whole
        return _ranked(self.collection, self.embedder, vectors, state, settings, start)


class RetrievePlain:
    """The baseline without a chat model: the query's embedding, averaged with that of the reference.

    Text and reference image are joined as the mean of their unit vectors, brought back to unit length: the
    usual training-free baseline for composed retrieval. Several references count as their mean.
    """

    def __init__(self, embedder: Embedder, collection: Collection) -> None:
        self.embedder, self.collection = embedder, collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: the max(searched, k) best images.

        Raises:
            ImageProblem: the reference cannot be read.
        """
        settings = current(runtime)
        found = await with_captions(lambda: self.search(state, settings), None, self.collection, settings)
        said = outside(self.embedder, self.collection, state, settings.exclusions)
        return {**found, "notes": [*found["notes"], *said]}

    def search(self, state: State, settings: Settings) -> dict[str, Any]:
        """As the call, without notes."""
        start = time.perf_counter()
        references = distinct(references_of(state), self.collection)
        vectors = self._query(state["query"], references, settings)
        return _ranked(self.collection, self.embedder, vectors, state, settings, start)

    def _query(self, text: str, references: Sequence[str], settings: Settings) -> Vectors:
        return plain_query(text, references, self.embedder, self.collection, settings.exclusions)


def plain_query(
    text: str,
    references: Sequence[str],
    embedder: Embedder,
    collection: Collection,
    exclusions: float = 0.0,
) -> Vectors:
    """The vector of a text and its references, (1, d): composed where the embedder can, else the mean of both.

    Several references count as their mean; an embedder that composes gives a row for each, of all words as they stand.
    """
    if references and (compose := getattr(embedder, "compose", None)) is not None:
        shown = [collection.reference(name).image for name in references]
        together: Vectors = compose(shown, [text] * len(shown))  # the search takes their mean
        return together
    return beside([text_vectors([text], embedder, exclusions)], references, embedder, collection)


def text_vectors(texts: Sequence[str], embedder: Embedder, exclusions: float = 0.0) -> Vectors:
    """The vectors of texts, (n, d), each moved away from what its words exclude by that weight."""
    wishes = [split_exclusions(text) for text in texts] if exclusions else []
    if not any(wish.excluded for wish in wishes):
        return embedder.texts(texts)
    return np.concatenate([wish_vector(wish, embedder, exclusions) for wish in wishes])


def wish_vector(wish: Wish, embedder: Embedder, exclusions: float) -> Vectors:
    """The vector of what is wanted, (1, d), moved away from what is excluded by that weight."""
    rows = embedder.texts([wish.wanted or ANYTHING, *wish.excluded])
    return without_excluded(rows[:1], rows[1:], exclusions)


def beside(
    vectors: Sequence[Vectors], references: Sequence[str], embedder: Embedder, collection: Collection
) -> Vectors:
    """The mean of at most one vector of words, (1, d), and of that of the pictures; unit length."""
    shown = [picture_vector(name, embedder, collection) for name in references]
    pictures = shown[:1] if len(shown) < 2 else [_unit(sum(shown, start=0 * shown[0]), otherwise=shown[0])]
    each = [*vectors, *pictures]
    return each[0] if len(each) == 1 else _unit(each[0] + each[1], otherwise=each[0])


def composes(embedder: Embedder, state: State) -> bool:
    """Whether the query has a reference, and the embedder reads it together with the words."""
    return bool(references_of(state)) and getattr(embedder, "compose", None) is not None


def descriptions(state: State) -> list[str]:
    """The texts that describe the target: three of the intent, and the query's own words where they describe it.

    With a reference the words say what to change; without one they are never lost, whatever a model made of them.
    """
    intent = state["intent"]
    own = [state["query"], *own_words(state)] if state.get("reference") is None else []
    return [intent["core"], intent["enhanced"], intent["full"], *own]


def own_words(state: State) -> list[str]:
    """The query as it was said, where the models are asked in other words."""
    return [said] if (said := state.get("own_words")) else []


def unassigned(state: State) -> bool:
    """Whether there are several references, and no instruction is known to be about one of them."""
    return len(references_of(state)) > 1 and not any("reference" in step for step in state["intent"]["steps"])


async def with_captions(
    search: Callable[[], dict[str, Any]],
    captions: CaptionOnDemand | None,
    collection: Collection,
    settings: Settings,
    *,
    again: bool = True,
) -> dict[str, Any]:
    """What a search returns, with `notes`; done again where the images that it reached got captions first.

    The first `top_k` images are captioned, those that a graph verifies or judges. A run with a budget keeps it for its
    answer: images that have no caption are then found by their pictures alone, as everywhere. A search that reads no
    captions is not done `again`.
    """
    found = await asyncio.to_thread(search)
    notes, usage = list[NoteDict](found.get("notes", [])), list[StepUsage]()
    if captions is not None and settings.budget is None and settings.token_budget is None:
        made = await captions(found["ranking_retrieve"][: settings.top_k])
        notes += made.notes
        usage = [spent(captions.step, captions.captioner.name, *made.usage)] if made.usage else []
        if made.count and again:
            usage += found["usage"]
            found = await asyncio.to_thread(search)
    notes += missing_captions(found["ranking_retrieve"][: settings.top_k], collection)
    return {**found, "notes": notes, "usage": [*usage, *found["usage"]]}


def outside(
    embedder: Embedder, collection: Collection, state: State, exclusions: float = 0.0
) -> list[NoteDict]:
    """Notes where the collection (once in a conversation) or the query is unlike what the embedder was trained on.

    With a weight of `exclusions` the query's are told as what only similarity keeps away.
    """
    domain: Domain | None = getattr(embedder, "domain", None)
    if domain is None:
        return []
    excluded = split_exclusions(state["query"]).excluded if exclusions else ()
    heeded = ("exclusions",) if excluded else ()
    once = not state.get("turns")
    found = domain.notes(collection, state["query"], embedder.weights, once=once, heeded=heeded)
    return [*found, *([note("retrieve", "unchecked", excluded_words(excluded))] if excluded else [])]


def excluded_words(excluded: Sequence[str]) -> str:
    """What is said of exclusions that only similarity keeps away."""
    shown = ", ".join(repr(shorten(each, 40)) for each in excluded[:5])
    return f"{shown}: kept away by similarity alone, which can fail; look whether the results show it"


def _ranked(
    collection: Collection,
    embedder: Embedder,
    vectors: Vectors,
    state: State,
    settings: Settings,
    start: float,
) -> dict[str, Any]:
    collection.require_weights(embedder.weights)
    exclude = [] if settings.keep_reference else references_of(state)

    def search(most: int, unlike: list[str]) -> list[tuple[str, float]]:
        return collection.search(
            *(vectors, settings.tau, most),
            exclude=collection.alike([*exclude, *unlike]),
            once=collection.merges_copies,
            where=standing_filter(state, settings),
        )

    found = search_unlike(search, max(settings.searched, settings.k), state, settings, embedder, collection)
    return {
        "candidates": [{"id": name, "retrieve": float(score)} for name, score in found],
        "ranking_retrieve": [name for name, _ in found],
        "usage": [spent("retrieve", "embedder", {"seconds": time.perf_counter() - start})],
    }


def _unit(rows: Vectors, *, otherwise: Vectors) -> Vectors:
    """Rows of unit length; a row that cancelled out to nothing is taken from `otherwise`."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.where(norms > 1e-6, rows / np.maximum(norms, 1e-6), otherwise).astype(np.float32)
    return unit

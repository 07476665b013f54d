"""Deeper retrieval for conversations: images known to match come first, more are verified while too few match."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from langgraph.runtime import Runtime

from imagescope_agent.nodes.chat.answer_words import request_words
from imagescope_agent.nodes.chat.new_predicates import newest
from imagescope_agent.nodes.image_refs import only_first, references_seen
from imagescope_agent.nodes.intent.reason import reasoned_vectors, reasoning_of
from imagescope_agent.nodes.intent.references import distinct
from imagescope_agent.nodes.judging.penalize_rejected import search_unlike
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.nodes.retrieve import beside, outside, wish_vector, with_captions
from imagescope_agent.nodes.standing_filter import standing_filter
from imagescope_agent.nodes.verify import Verify, satisfies
from imagescope_agent.records import NoteDict
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand
from imagescope_agent.retrieval.exclusions import Wish
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Predicate, State, Verdicts, references_of
from imagescope_agent.usage import StepUsage, spent

BATCHES = 5  # how many times top_k images that nobody was asked about yet a turn looks through at most


class RetrieveLiked:
    """As `Retrieve`, deeper, with the liked images as further descriptions and without the rejected ones.

    Images about which all that was said before is known come first, those that fit it before the others, however deep
    they were found: they are asked only what is new. New ones are tried where too few fit.
    """

    def __init__(
        self, embedder: Embedder, collection: Collection, captions: CaptionOnDemand | None = None
    ) -> None:
        self.embedder, self.collection, self.captions = embedder, collection, captions

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: see `search`."""
        settings = current(runtime)

        def search() -> dict[str, Any]:
            start = time.perf_counter()
            found = self.search(state, settings)
            return {
                "candidates": [{"id": name, "retrieve": float(score)} for name, score in found],
                "ranking_retrieve": known_first([name for name, _ in found], state),
                "usage": [spent("retrieve", "embedder", {"seconds": time.perf_counter() - start})],
            }

        found = await with_captions(search, self.captions, self.collection, settings)
        shown = only_first("embed", state) if state.get("chain") else []
        notes = [*found["notes"], *(each for each in shown if each not in state.get("notes", []))]
        return {**found, "notes": [*notes, *self.outside(state, settings)]}

    def outside(self, state: State, settings: Settings) -> list[NoteDict]:
        """Notes on what the embedder does not know."""
        return outside(self.embedder, self.collection, state)

    def search(self, state: State, settings: Settings) -> list[tuple[str, float]]:
        """The best images with their scores, as the search alone ranks them.

        max(BATCHES * top_k, k) more than were asked anything before, so that every turn comes to new ones, and those
        that are known to fit all that was said, so that a message that moves the descriptions loses none of them.
        """
        self.collection.require_weights(self.embedder.weights)
        vectors = self._wanted(state, settings)
        liked = [self.collection.image_vector(name) for name in state["liked"] if name in self.collection]
        rows = np.concatenate([vectors, np.stack(liked)]) if liked else vectors
        exclude = list(state["rejected"])
        if not settings.keep_reference:
            exclude += references_of(state)
        verdicts = state.get("verdicts", {})
        most = max(BATCHES * settings.top_k, settings.k) + len(verdicts)
        fits = known_to_fit(verdicts, newest(state["facts"]))
        where, once = standing_filter(state, settings), self.collection.merges_copies

        def found(count: int, unlike: list[str]) -> list[tuple[str, float]]:
            out = self.collection.alike([*exclude, *unlike])
            return self.collection.search(
                *(rows, settings.tau, count), exclude=out, include=fits, once=once, where=where
            )

        return search_unlike(found, most, state, settings, self.embedder, self.collection, include=fits)

    def _wanted(self, state: State, settings: Settings) -> Vectors:
        """What is looked for: the vector after the chain where one was written, else those of three descriptions."""
        if chain := state.get("chain"):
            model = reasoning_of(self.embedder)
            reference, request = state.get("reference"), request_words(state)
            return reasoned_vectors(model, self.collection, reference, request, chain)
        intent = state["intent"]
        return self.embedder.texts([intent["core"], intent["enhanced"], intent["full"]])


class RetrieveWords(RetrieveLiked):
    """As `RetrieveLiked` for facts in the user's own words: the references count as much as these.

    What is excluded is taken off by the weight `Settings.exclusions`.
    """

    def outside(self, state: State, settings: Settings) -> list[NoteDict]:
        """Notes on what the embedder does not know, and on what similarity alone keeps away."""
        return outside(self.embedder, self.collection, state, settings.exclusions)

    def _wanted(self, state: State, settings: Settings) -> Vectors:
        excluded = tuple(fact["text"] for fact in state["facts"] if fact["type"] == "Removal")
        wish = Wish(state["intent"]["full"] if state["facts"] else "", excluded)
        references = distinct(references_of(state), self.collection)
        if references and not state["facts"]:
            return beside([], references, self.embedder, self.collection)
        vector = wish_vector(wish, self.embedder, settings.exclusions)
        return beside([vector], references, self.embedder, self.collection)


class VerifyDeeper(Verify):
    """As `Verify` for the first images, see `depth`; when the turn comes back, the next top_k are looked through.

    Only what fits every predicate is wanted of them. So they are asked predicate by predicate, beginning with the one
    that fewest of the first images satisfy, and an image that fails one, now or before, is asked no more.
    """

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`, `matches` and `ranking_verify`, in which what fits comes first."""
        if not state["reflections"]:
            return await super().__call__(state, runtime)
        settings = current(runtime)
        verifier = on_budget(self.verifier, state, settings)
        until = tried(state, settings)
        window = state["ranking_retrieve"][until - settings.top_k : until]
        known: Verdicts = {name: dict(state.get("verdicts", {}).get(name, {})) for name in window}
        unverified = state.get("unverified", {})
        fits = [
            name
            for name in window
            if name not in unverified and not ruled_out(known[name], state["predicates"])
        ]
        seen, notes = await references_seen(state, verifier, self.collection, step=self.step)
        usage: list[StepUsage] = []
        for predicate in hardest_first(state, self.depth(state, settings)):
            left = remaining(state, settings, usage)
            found, short = await self._ask_question(predicate["question"], fits, known, left, verifier, seen)
            notes += [*found.notes, *short]
            usage += found.usage
            fits = [] if short else [name for name in fits if satisfies(known[name], predicate)]
        others = [name for name in state["ranking_verify"] if name not in fits]
        return {
            "verdicts": known,
            "matches": {**state["matches"], **dict.fromkeys(fits, len(state["predicates"]))},
            "ranking_verify": [*fits, *others],
            "notes": notes,
            "usage": usage,
        }

    def depth(self, state: State, settings: Settings) -> int:
        """See `first_tried`."""
        return first_tried(state, settings)


def first_tried(state: State, settings: Settings) -> int:
    """How many images are asked everything: top_k in a first turn, in a later one as many as are shown."""
    return min(settings.top_k, settings.k) if state["turns"] else settings.top_k


def tried(state: State, settings: Settings) -> int:
    """How many images a turn tries when it comes to verification, or comes back to it."""
    return first_tried(state, settings) + settings.top_k * state["reflections"]


def deepest(state: State, settings: Settings) -> int:
    """How many of the retrieved images a turn tries at most: those that are only retrieved to be shown are not."""
    usual, found = BATCHES * settings.top_k, len(state["ranking_retrieve"])
    return max(found - max(0, settings.k - usual), min(found, usual))


async def go_further(state: State) -> dict[str, Any]:
    """Move on to the next images; makes no model call."""
    return {"reflections": state["reflections"] + 1}


async def show_more(state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
    """Move on to the next results of the ranking; makes no model call."""
    offset = state["offset"] + current(runtime).k
    if offset >= len(state["ranking"]):
        return {"remarks": [*state["remarks"], "These are all that were found."]}
    return {"offset": offset, "remarks": [*state["remarks"], "Here are the next ones."]}


def too_few_fit(state: State, settings: Settings) -> bool:
    """Whether more images should be tried: fewer fit every predicate than are shown, and there are more to try.

    One that fits need not be the wanted one, and where nothing is left to choose from no question can help.
    """
    predicates, matches = state["predicates"], state["matches"]
    fits = sum(count == len(predicates) for count in matches.values())
    more = tried(state, settings) < deepest(state, settings)
    stopped = any(note["kind"] == "budget" for note in state["notes"])
    return bool(predicates) and fits < settings.k and more and not stopped


def after_verify(state: State, runtime: Runtime[Settings]) -> Literal["further", "judge"]:
    """Look further down the ranking while too few fit."""
    return "further" if too_few_fit(state, current(runtime)) else "judge"


def hardest_first(state: State, first: int) -> list[Predicate]:
    """The predicates, the one first that fewest of the `first` images satisfy; equal ones as they stand."""
    answers = [state.get("verdicts", {}).get(name, {}) for name in state["ranking_retrieve"][:first]]
    return sorted(state["predicates"], key=lambda each: sum(satisfies(known, each) for known in answers))


def known_to_fit(verdicts: Verdicts, predicates: Sequence[Predicate]) -> list[str]:
    """The images that answered every predicate as expected; none where nothing is asked for."""
    return [
        name
        for name, answers in verdicts.items()
        if predicates and all(each["question"] in answers and satisfies(answers, each) for each in predicates)
    ]


def ruled_out(answers: Mapping[str, float], predicates: Sequence[Predicate]) -> bool:
    """Whether an image gave an answer that was not expected."""
    return any(each["question"] in answers and not satisfies(answers, each) for each in predicates)


def known_first(found: Sequence[str], state: State) -> list[str]:
    """Images known to match all earlier predicates, then those known not to, then the others, each in their order."""
    predicates, verdicts = newest(state["facts"]), state.get("verdicts", {})

    def place(name: str) -> int:
        answers = verdicts.get(name, {})
        if not predicates or any(predicate["question"] not in answers for predicate in predicates):
            return 2
        return 0 if all(satisfies(answers, predicate) for predicate in predicates) else 1

    return sorted(found, key=place)

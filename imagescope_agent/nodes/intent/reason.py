"""Reason, then embed (CIR-CoT, arXiv 2510.08003): the chain of thought, and retrieval by the vector after it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import only_first, reference_ref
from imagescope_agent.nodes.intent.grounded_chain import grounded
from imagescope_agent.nodes.judging.penalize_rejected import search_unlike
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.nodes.standing_filter import standing_filter
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text
from imagescope_agent.replies.chains import Chain, parse_chain, steps_of
from imagescope_agent.retrieval.protocols import Collection, Embedder, SpaceQuery
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, references_of
from imagescope_agent.usage import spent


def reasoning_of(embedder: Embedder) -> ReasoningEmbedder:
    """The embedder as one that reasons.

    Raises:
        BadInput: it does not.
    """
    found = embedder if isinstance(embedder, ReasoningEmbedder) else getattr(embedder, "reasoning", None)
    if found is None:
        raise BadInput(
            "this graph needs a model that reasons and embeds: train one (`imagescope train cir-cot`), name it in a "
            'profile (embedder = "cir_cot:DIR"), or choose another graph'
        )
    return found


def reasons(embedder: Embedder) -> bool:
    """Whether an embedder can write a chain of thought."""
    return isinstance(embedder, ReasoningEmbedder) or getattr(embedder, "reasoning", None) is not None


class Reason:
    """Asks the embedder's own chat model for the chain: what the reference shows, what changes, what is looked for.

    Args:
        embedder: that reasons.
        collection: holds the references.
    """

    step, role = "reason", "reasoner"

    def __init__(self, embedder: Embedder, collection: Collection) -> None:
        self.embedder, self.collection = embedder, collection

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `chain`, and what it says as `reference_caption` and `intent`.

        Raises:
            BadInput: the embedder does not reason.
            UnreadableReply: the reply is no chain.
            BudgetSpent: the model may not be asked.
        """
        require_call(state, settings := current(runtime))
        model = await asyncio.to_thread(reasoning_of, self.embedder)
        role = on_budget(Role(self.role, model.chat_model, prompt_set=model.prompt_set), state, settings)
        reference = state.get("reference")
        images = (await reference_ref(reference, self.collection),) if reference is not None else ()
        text = load_prompt("reason", prompt_set=model.prompt_set).fill(instruction=state["query"])
        chain, reply = await ask_one(role, text, parse_chain, images=images, again=again)
        wanted = chain.conclusion
        return {
            "chain": chain.to_dict(),
            "reference_caption": chain.caption if reference is not None else NO_REFERENCE,
            "intent": {"steps": steps_of(chain), "core": wanted, "enhanced": wanted, "full": wanted},
            **account(self, reply),
        }


def understood(state: State) -> dict[str, str]:
    """The chain that reference caption and intent make; {} where nothing was understood."""
    intent, caption = state["intent"], state["reference_caption"]
    caption = caption or ("" if references_of(state) else NO_REFERENCE)
    if not (intent["steps"] and intent["full"] and caption):
        return {}
    steps = steps_text(intent["steps"])
    return Chain(caption=caption, reasoning=steps, conclusion=intent["full"]).to_dict()


def no_chain(state: State) -> dict[str, Any]:
    """Fallback: the vector is made without a chain."""
    return {"chain": {}}


class RetrieveReasoned:
    """Retrieves by the vector after the chain, or by the one without where none was written; one lookup.

    What the roles understood of the query is a chain too. It is read without what its conclusion has no ground for.

    Args:
        embedder: that reasons.
        collection: has vectors of it.
        pictures: made the collection's own vectors, which excluded pictures are compared by; the same when None.
    """

    def __init__(self, embedder: Embedder, collection: Collection, pictures: Embedder | None = None) -> None:
        self.embedder, self.collection, self.pictures = embedder, collection, pictures or embedder

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: the max(searched, k) best images; and the `chain` that was read.

        Raises:
            BadInput: the embedder does not reason, or the collection has no vectors of it; or a file is excluded, and
                the collection's own vectors are another embedder's.
            ImageProblem: the reference cannot be read.
        """
        return await asyncio.to_thread(self.search, state, current(runtime))

    def search(self, state: State, settings: Settings) -> dict[str, Any]:
        """As the call."""
        start = time.perf_counter()
        model = reasoning_of(self.embedder)
        space = space_of(self.collection, model.weights)
        chain = state.get("chain") or ({} if settings.reasoning == "fast" else understood(state))
        chain, left = grounded(chain, [state["query"], *(fact["text"] for fact in state.get("facts", []))])
        vector = reasoned_vectors(model, self.collection, state.get("reference"), state["query"], chain)[0]
        exclude = [] if settings.keep_reference else references_of(state)
        if any(name not in self.collection for name in state.get("unlike", [])):
            self.collection.require_weights(self.pictures.weights)

        def search(count: int, unlike: list[str]) -> list[tuple[str, float]]:
            return self.collection.search_spaces(
                [SpaceQuery(space=space, vector=vector, weight=1.0)],
                count,
                exclude=self.collection.alike([*exclude, *unlike]),
                once=self.collection.merges_copies,
                where=standing_filter(state, settings),
            )

        most = max(settings.searched, settings.k)
        found = search_unlike(search, most, state, settings, self.pictures, self.collection)
        return {
            "chain": dict(chain),
            "candidates": [{"id": name, "retrieve": float(score)} for name, score in found],
            "ranking_retrieve": [name for name, _ in found],
            "notes": [
                each for each in (*only_first("embed", state), *left) if each not in state.get("notes", [])
            ],
            "usage": [spent("retrieve", "embedder", {"seconds": time.perf_counter() - start})],
        }


def reasoned_vectors(
    model: ReasoningEmbedder,
    collection: Collection,
    reference: str | None,
    text: str,
    chain: Mapping[str, str] | None,
) -> Vectors:
    """The vector of a query after its chain, or of the query alone where there is none: (1, d).

    Raises:
        ImageProblem: the reference cannot be read.
    """
    shown: Image.Image | None = None if reference is None else collection.reference(reference).image
    return model.reasoned([shown], [text], [str(Chain(**chain)) if chain else ""])


def space_of(collection: Collection, weights: str) -> str:
    """The space whose vectors a model made.

    Raises:
        BadInput: there is none.
    """
    for name, space in collection.spaces.items():
        if space.weights == weights:
            return name
    raise BadInput(
        "the collection has no vectors of the model that reasons; index it with this profile, or add them with "
        "`imagescope vectors make`"
    )


def undecided(state: State, embedder: Embedder, threshold: float | None = None) -> bool:
    """Whether the first image leads the second by less than `threshold`, or the model's own where that is None.

    Where two embedders were compared, whether they disagree.
    """
    if (agreed := state.get("agreed")) is not None:
        return not agreed
    return lead(state) < (reasoning_of(embedder).threshold if threshold is None else threshold)


def roles_threshold(state: State, settings: Settings) -> float | None:
    """The lead below which the roles write a chain; None where they do not, or the model's own threshold holds."""
    if settings.chain_writer != "roles":
        return None
    alone = settings.roles_threshold_text if state.get("reference") is None else None
    return settings.roles_threshold if alone is None else alone


def lead(state: Mapping[str, Any]) -> float:
    """Of the first image over the second, by the vectors; infinite where there is no second."""
    scores = [each["retrieve"] for each in state["candidates"][:2]]
    return float(scores[0] - scores[1]) if len(scores) > 1 else math.inf

"""The query's own words retrieve beside whatever a model made of them, unless they say what to change in a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.nodes.retrieve import Retrieve, descriptions
from imagescope_agent.settings import Settings
from tests.conftest import ColourEmbedder

LOST = {
    "steps": [],
    "core": "a green boat",
    "enhanced": "a green boat at sea",
    "full": "a green boat at night",
}


def state(query: str, reference: str | None = None) -> Any:
    return {"query": query, "reference": reference, "intent": LOST}


def test_what_was_asked_is_found_although_the_intent_lost_it(world: Any) -> None:
    node, runtime = Retrieve(world.embedder, world.collection), SimpleNamespace(context=Settings(tau=0.0))
    asked: Any = asyncio.run(node(state("something purple"), runtime))  # type: ignore[arg-type]
    assert asked["ranking_retrieve"][:2] == ["green.png", "purple.png"]
    scores = {hit["id"]: hit["retrieve"] for hit in asked["candidates"]}
    alone = world.embedder.texts([*(LOST[key] for key in ("core", "enhanced", "full")), "something purple"])
    assert scores["purple.png"] == pytest.approx(
        float((alone @ world.collection.image_vector("purple.png")).mean()), abs=1e-5
    )


def test_words_that_change_a_picture_are_no_description() -> None:
    assert descriptions(state("make it purple", "red.png")) == [LOST["core"], LOST["enhanced"], LOST["full"]]
    assert descriptions(state("something purple"))[-1] == "something purple"


class ComposingColours(ColourEmbedder):
    """As `ColourEmbedder`; a picture and words together are the words alone."""

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> np.ndarray:
        return self.texts(texts)


@pytest.mark.parametrize(("weight", "first"), [(0.0, "green.png"), (0.4, "green.png"), (0.6, "purple.png")])
def test_an_embedder_that_composes_is_heard_by_its_weight(world: Any, weight: float, first: str) -> None:
    node = Retrieve(ComposingColours(), world.collection)
    context = Settings(tau=0.0, composed=weight)
    found: Any = asyncio.run(node(state("something purple", "red.png"), SimpleNamespace(context=context)))  # type: ignore[arg-type]
    assert found["ranking_retrieve"][0] == first and "red.png" not in found["ranking_retrieve"]


@pytest.mark.parametrize("reference", [None, "red.png"])
def test_the_weight_changes_nothing_without_a_reference_or_an_embedder_that_composes(
    world: Any, reference: str | None
) -> None:
    embedder = world.embedder if reference else ComposingColours()
    given = state("something purple", reference)
    plain, weighed = (
        asyncio.run(
            Retrieve(embedder, world.collection)(
                given,
                SimpleNamespace(context=Settings(tau=0.0, composed=weight)),  # type: ignore[arg-type]
            )
        )
        for weight in (0.0, 1.0)
    )
    assert plain["candidates"] == weighed["candidates"]

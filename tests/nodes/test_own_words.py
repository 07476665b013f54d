"""The query's own words retrieve beside whatever a model made of them, unless they say what to change in a picture."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.nodes.retrieve import Retrieve, descriptions
from imagescope_agent.settings import Settings

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

"""The baseline graph: no chat model, text alone or half way to the reference image."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings


def run(world: Any, query: str, reference: str | None = None, **settings: Any) -> Any:
    graph = load_graph("retrieve")(world.services())
    return asyncio.run(graph.ainvoke({"query": query, "reference": reference}, context=Settings(**settings)))


def test_text_finds_its_colour_and_asks_nobody(world: Any) -> None:
    state = run(world, "a purple thing")
    assert state["ranking"][0] == "purple.png"
    assert state["ranking"] == state["ranking_retrieve"]
    assert sorted(state["ranking"]) == sorted(world.collection.ids)
    assert [entry["calls"] for entry in state["usage"]] == [0]
    assert state["results"][0]["scores"]["verify"] is None
    assert state["notes"] == []


def test_scores_mix_image_and_caption_by_tau(world: Any) -> None:
    text = world.embedder.texts(["a red thing"])[0]
    caption = world.embedder.texts([world.collection.caption("red.png")])[0]
    for tau in (0.0, 0.15, 1.0):
        state = run(world, "a red thing", tau=tau)
        expected = (1 - tau) * text @ world.collection.image_vector("red.png") + tau * text @ caption
        assert state["results"][0]["scores"]["retrieve"] == pytest.approx(expected, abs=1e-6)


def test_a_reference_pulls_the_query_half_way_and_is_left_out(world: Any) -> None:
    state = run(world, "blue", "red.png", tau=0.0)
    both = world.embedder.texts(["blue"])[0] + world.collection.image_vector("red.png")
    both /= np.linalg.norm(both)
    assert "red.png" not in state["ranking"]
    best = state["results"][0]
    assert best["scores"]["retrieve"] == pytest.approx(
        float(both @ world.collection.image_vector(best["id"])), abs=1e-6
    )
    assert "red.png" in run(world, "blue", "red.png", keep_reference=True)["ranking"]


def test_a_reference_from_outside_is_embedded(world: Any, tmp_path: Any) -> None:
    outside = tmp_path / "outside.png"
    Image.new("RGB", (20, 20), (220, 30, 30)).save(outside)
    inside = run(world, "blue", "red.png", tau=0.0, keep_reference=True)
    assert run(world, "blue", str(outside), tau=0.0)["ranking"] == inside["ranking"]


def test_an_index_of_other_weights_is_refused(world: Any) -> None:
    world.embedder.weights = "colours-2"
    with pytest.raises(BadInput, match="imagescope index"):
        run(world, "blue")


def test_the_same_query_gives_the_same_ranking_and_k_only_cuts_it(world: Any) -> None:
    long, short = run(world, "green", k=8), run(world, "green", k=2, top_k=0)
    assert long["ranking"] == run(world, "green", k=8)["ranking"]
    assert short["ranking"] == long["ranking"][:2]

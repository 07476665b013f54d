"""A chain of thought only where two embedders disagree: when they are compared, and what says where they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.chat.talk import talking
from tests.conftest import ColourEmbedder
from tests.graphs.reasoning_colours import ReasoningColours


@pytest.mark.parametrize(
    ("within", "of_text", "written"),
    [(1, None, True), (2, None, True), (3, None, False), (None, None, True), (1, 3, False), (3, 2, True)],
)
def test_auto_writes_where_two_embedders_disagree(
    world: Any, within: int | None, of_text: int | None, written: bool
) -> None:
    """The model that reasons finds what is green; by the collection's own vectors that comes third."""

    class Elsewhere(ColourEmbedder):
        def texts(self, texts: Sequence[str]) -> np.ndarray:
            rows = super().texts(["red", "blue", "green"])
            return np.repeat(rows.T @ [[0.7], [0.6], [0.5]], len(texts), axis=1).T

    thinker = ReasoningColours(threshold=2.0)
    world.embedder = thinker
    services = replace(talking(world), embedder=Elsewhere(), first_stage=thinker)
    asked: Any = {"query": "green"}
    run = load_graph("cir_cot")(services).ainvoke
    given: Any = {"agree_within": within, "agree_within_text": of_text}
    few = Settings(chain_writer="roles", top_k=2, k=2, **given)  # fewer than are compared
    state = asyncio.run(run(asked, context=few))
    assert bool(state["chain"]) is written
    assert state["agreed"] is (None if within is None else not written)
    assert state["ranking"][0] == "green.png" or written


@pytest.mark.parametrize(
    ("query", "reference", "least", "written"),
    [("green", "red.png", 0.0, False), ("green", "red.png", 1.0, True), ("green", None, 1.0, False)],
)
def test_of_a_query_with_a_reference_both_must_agree_with_a_lead(
    world: Any, query: str, reference: str | None, least: float, written: bool
) -> None:
    world.embedder = thinker = ReasoningColours(threshold=0.0)
    services = replace(talking(world), embedder=ColourEmbedder(), first_stage=thinker)
    settings = Settings(chain_writer="roles", agree_within=7, agree_lead=least, k=2)
    asked: Any = {"query": query, "reference": reference}
    state = asyncio.run(load_graph("cir_cot")(services).ainvoke(asked, context=settings))
    assert (state["agreed"], bool(state["chain"])) == (not written, written)


@pytest.mark.parametrize(
    ("within", "beside", "told"),
    [(2, False, "no first_stage"), (9, True, "8 images are fewer than 9"), (8, True, "")],
)
def test_where_nothing_can_be_compared_a_note_says_that_the_lead_decides(
    world: Any, within: int, beside: bool, told: str
) -> None:
    world.embedder = thinker = ReasoningColours(threshold=0.0)
    services = replace(talking(world), first_stage=ReasoningColours() if beside else None)
    settings = Settings(agree_within=within, top_k=1, k=1)
    run = load_graph("cir_cot")(replace(services, embedder=thinker)).ainvoke
    state = asyncio.run(run({"query": "green"}, context=settings))
    notes = [each["detail"] for each in state["notes"] if each["kind"] == "fallback"]
    assert (state["agreed"], len(notes)) == ((None, 1) if told else (True, 0))
    assert told in "".join(notes) and not state["chain"]


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_an_agreement_out_of_range_is_told(value: Any) -> None:
    for name in ("agree_within", "agree_within_text"):
        with pytest.raises(BadInput, match=name):
            Settings(**{name: value})

"""Graphs that verify and judge what a model that reasons, then embeds, retrieves in a space of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langgraph.runtime import Runtime
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.intent.reformulate import RetrieveMore
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.spaces import add_space
from imagescope_agent.settings import Settings
from imagescope_agent.state import new_turn, plain_intent
from tests.chat.talk import talking
from tests.conftest import PALETTE
from tests.graphs.reasoning_colours import ReasoningColours


class Contrary(ReasoningColours):
    """Finds the green picture whatever is asked, and the others by colour."""

    weights = "contrary colours"

    def reasoned(self, images: Any, texts: Any, chains: Any) -> Any:
        self.chains += chains
        return self.texts(["green"] * len(texts))


def found(world: Any, graph: str, model: Any, **settings: Any) -> Any:
    services = replace(talking(world), first_stage=model)
    asked = {"query": "a red square", "reference": None}
    return asyncio.run(load_graph(graph)(services).ainvoke(asked, context=Settings(**settings)))


@pytest.fixture()
def model(world: Any) -> Contrary:
    given = Contrary()
    add_space(world.folder, "thoughts", given)
    world.collection = FolderCollection.open(world.folder)
    return given


@pytest.mark.parametrize("graph", ["adaptive", "imagescope", "cotrr"])
def test_its_vectors_retrieve_what_is_verified(world: Any, model: Contrary, graph: str) -> None:
    state = found(world, graph, model, top_k=3, reasoning="fast")
    assert state["ranking_retrieve"][0] == "green.png" and model.chains == [""] and not state["chain"]
    assert model.chat_model.asked == []  # a first stage costs no call
    assert len(set(state["ranking"])) == len(state["ranking"])
    state = found(world, graph, model, top_k=3)
    if graph != "cotrr":  # describes the target without steps
        assert state["chain"]["conclusion"] == state["intent"]["full"]
        assert state["chain"]["reasoning"] in model.chains[1]
    assert found(world, graph, None, top_k=3)["ranking_retrieve"][0] == "red.png"


def test_what_a_second_search_finds_comes_after_what_was_retrieved(world: Any, model: Contrary) -> None:
    before = [{"id": "green.png", "retrieve": 0.1}, {"id": "blue.png", "retrieve": 0.05}]
    state: Any = {
        **new_turn(),
        "query": "a red square",
        "reference": None,
        "candidates": before,
        "verdicts": {},
    }
    state |= {"intent": plain_intent("a red square")}
    orders = []
    for same in (False, True):
        search = RetrieveMore(world.embedder, world.collection, same_space=same)
        runtime: Any = Runtime(context=Settings(top_k=3, k=3))
        orders.append(asyncio.run(search(state, runtime))["ranking_retrieve"])
    assert orders[0][:3] == ["green.png", "blue.png", "red.png"] and orders[1][0] == "red.png"
    assert all(len(set(order)) == len(order) for order in orders)


def test_without_its_vectors_the_command_that_makes_them_is_told(world: Any) -> None:
    with pytest.raises(BadInput, match="imagescope vectors make"):
        found(world, "adaptive", Contrary())


def test_a_profile_names_it_and_runs_record_it(world: Any, model: Contrary, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "imagescope_agent" / "profiles" / "mini.toml").read_text(
        encoding="utf-8"
    )
    file = tmp_path / "two.toml"
    file.write_text('first_stage = "cir_cot:package:mini/cir_cot"\n' + text, encoding="utf-8")
    named = load_profile(str(file)).first_stage
    assert named is not None and Path(named.partition(":")[2], "cir_cot.card").is_file()
    assert load_profile("mini").first_stage is None
    services = replace(talking(world), first_stage=model)
    assert services.weights["first_stage"] == model.weights and "first_stage" not in talking(world).weights


@pytest.mark.parametrize("graph", ["adaptive", "imagescope", "cotrr"])
def test_a_file_is_excluded_by_the_vectors_of_the_collection(
    world: Any, model: Contrary, graph: str, tmp_path: Path
) -> None:
    file = tmp_path / "other.png"
    Image.new("RGB", (8, 8), PALETTE["green"]).save(file)
    services = replace(talking(world), first_stage=model)
    scores = []
    for unlike in ([], [str(file)]):
        asked = {"query": "a red square", "reference": None, "unlike": unlike}
        state = asyncio.run(
            load_graph(graph)(services).ainvoke(asked, context=Settings(top_k=3, penalty=0.8))
        )
        scores += [each["retrieve"] for each in state["candidates"] if each["id"] == "green.png"]
    assert scores[0] - scores[1] == pytest.approx(0.8, abs=0.01)


def test_notes_and_captions_are_those_of_the_embedder(world: Any, model: Contrary) -> None:
    told: dict[str, Any] = {"step": "retrieve", "kind": "outside", "detail": "'quokka': no words"}
    world.embedder.domain = SimpleNamespace(notes=lambda *given, **options: [told])
    captioned: list[list[str]] = []

    async def make(names: list[str]) -> Any:
        captioned.append(list(names))
        return SimpleNamespace(notes=[], usage=[], count=len(names))

    make.step = "caption"  # type: ignore[attr-defined]
    services = replace(talking(world), first_stage=model, captions=cast(Any, make))
    graph = load_graph("imagescope")(services)
    state = asyncio.run(graph.ainvoke({"query": "a red square"}, context=Settings(top_k=3)))
    assert told in state["notes"] and captioned == [state["ranking_retrieve"][:3]]
    assert len(model.chains) == 1  # its vectors heed no captions

"""What holds for every graph: how it is loaded, drawn, described to a server, and that its state is plain."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.registry import graphs, load_graph
from tests.graphs.reasoning_colours import ReasoningColours

ROOT = Path(__file__).parents[2]
NAMES = sorted(graphs())
REASONING: dict[str, Any] = {"cir_cot": ReasoningColours}


@pytest.mark.parametrize("name", NAMES)
def test_a_server_can_describe_it(world: Any, name: str) -> None:
    graph = load_graph(name)(world.services())
    context = graph.get_context_jsonschema()
    assert {"k", "top_k", "tau", "alpha", "judge", "seed", "budget"} <= set(context["properties"])
    asked = set(graph.get_input_jsonschema()["properties"])
    further = {"cotrr": ["rejected"], "chat": ["feedback"], "chat_retrieve": ["feedback"]}
    assert asked == {"query", "reference", "references", "unlike", *further.get(name, [])}
    assert "ranking" in graph.get_output_jsonschema()["properties"]


@pytest.mark.parametrize("name", NAMES)
def test_every_node_lies_on_a_path_from_start_to_end(world: Any, name: str) -> None:
    drawn = load_graph(name)(world.services()).get_graph()
    assert set(drawn.nodes) == {edge.source for edge in drawn.edges} | {edge.target for edge in drawn.edges}
    assert "begin" in drawn.draw_mermaid()


@pytest.mark.parametrize("name", NAMES)
def test_its_context_may_be_plain_and_its_state_is(world: Any, name: str) -> None:
    world.embedder = REASONING.get(name, type(world.embedder))()
    graph = load_graph(name)(world.services())
    state = asyncio.run(graph.ainvoke({"query": "a blue square"}, context={"k": 2, "alpha": 1}))
    assert json.loads(json.dumps(state)) == state
    assert len(state["results"]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_ranking_still_has_an_answer(world: Any, name: str) -> None:
    world.embedder = REASONING.get(name, type(world.embedder))()
    world.collection.search = world.collection.search_spaces = lambda *args, **options: []
    state = asyncio.run(load_graph(name)(world.services()).ainvoke({"query": "a blue square"}))
    assert (state["ranking"], state["results"]) == ([], [])


def test_langgraph_json_names_every_graph_and_each_can_be_served(
    world: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    served = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    assert sorted(served) == NAMES
    profile = tmp_path / "mine.toml"
    roles = "\n".join(f'{role} = "fake"' for role in ("captioner", "reasoner", "verifier", "judge"))
    profile.write_text(f'embedder = "none"\n[models.fake]\nmllm = "scripted"\n[roles]\n{roles}\n')
    for name, place in served.items():
        file, _, factory = place.partition(":")
        spec = importlib.util.spec_from_file_location(f"invented_{name}", ROOT / file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.delenv("IMAGESCOPE_COLLECTION", raising=False)
        with pytest.raises(BadInput, match="IMAGESCOPE_COLLECTION"):
            asyncio.run(getattr(module, factory)())
        monkeypatch.setenv("IMAGESCOPE_COLLECTION", str(world.folder))
        monkeypatch.setenv("IMAGESCOPE_PROFILE", str(profile))
        assert asyncio.run(getattr(module, factory)()).name == name

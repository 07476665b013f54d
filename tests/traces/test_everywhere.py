"""However a run is started it leaves a trace: a conversation, a graph server, a script, an evaluation."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.chat import open_chats
from imagescope_agent.errors import BadInput
from imagescope_agent.registry import load_graph
from imagescope_agent.runs.results import total
from imagescope_agent.traces.instrument import served, traced
from imagescope_agent.traces.store import TraceStore
from imagescope_agent.traces.trace import Trace
from tests.chat.talk import talking

COUNTS = ("calls", "prompt_tokens", "completion_tokens", "image_prefills")


def traces(path: Path) -> list[Trace]:
    """All traces of a store, the oldest first."""
    with closing(TraceStore(path)) as store:
        return [Trace(*store.read(each.id)) for each in reversed(store.runs())]


def counted(usage: Any) -> dict[str, Any]:
    return {name: usage[name] for name in COUNTS}


def test_every_turn_of_a_conversation_is_a_trace_of_its_own(world: Any) -> None:
    async def talk() -> list[Any]:
        async with open_chats(talking(world)) as chats:
            session = await chats.create("mine")
            return [await session.say(message) for message in ("a red square", "no, blue")]

    turns = asyncio.run(talk())
    found = traces(world.collection.location / "traces.sqlite")
    assert [trace.query for trace in found] == ["a red square", "no, blue"]
    assert [trace.head["turn"] for trace in found] == [1, 2]
    for trace, turn in zip(found, turns, strict=True):
        assert counted(trace.usage) == counted(total(turn["usage"]))
        assert [each["id"] for each in turn["results"]] == trace.ranking[: len(turn["results"])]
    assert found[1].head["settings"]["top_k"] == 20


def test_a_graph_run_from_a_script_is_recorded_by_its_own_recorder(world: Any) -> None:
    services = talking(world)
    graph = traced(load_graph("imagescope")(services), services)
    state = asyncio.run(graph.ainvoke({"query": "a blue square"}, context={"k": 2}))
    trace = traces(world.collection.location / "traces.sqlite")[0]
    assert (trace.query, trace.status, trace.head["graph"]) == ("a blue square", "done", "imagescope")
    assert trace.ranking == state["ranking"]
    assert set(trace.verdicts) <= set(world.collection.ids)
    assert counted(trace.usage) == counted(total(state["usage"]))
    assert graph.get_input_jsonschema() == load_graph("imagescope")(services).get_input_jsonschema()


def test_a_graph_server_records(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    services = talking(world)
    monkeypatch.setattr("imagescope_agent.traces.instrument.serve_from_environment", lambda: services)
    graph = asyncio.run(served(load_graph("retrieve")))
    asyncio.run(graph.ainvoke({"query": "a blue square"}))
    assert traces(world.collection.location / "traces.sqlite")[0].ranking[0] == "blue.png"
    monkeypatch.setenv("IMAGESCOPE_TRACES", "off")
    assert "callbacks" not in (asyncio.run(served(load_graph("retrieve"))).config or {})


def test_edits_of_a_checkpoint_are_no_runs(world: Any) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    services = talking(world)
    graph = traced(load_graph("imagescope")(services, checkpointer=InMemorySaver()), services)
    graph.update_state({"configurable": {"thread_id": "t"}}, {"query": "red"}, as_node="begin")
    assert traces(world.collection.location / "traces.sqlite") == []


def test_a_store_that_cannot_be_written_is_told(world: Any, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("no database at all " * 100)
    with pytest.raises(BadInput, match="cannot keep traces"):
        traced(load_graph("retrieve")(world.services()), world.services(), tmp_path / "broken")


def test_result_trace_and_evaluation_agree_to_the_token(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagescope_agent.api import ImageScope
    from imagescope_agent.evaluation import datasets
    from imagescope_agent.evaluation.evaluate import evaluate
    from imagescope_agent.evaluation.graph_system import GraphSystem
    from imagescope_agent.retrieval.collection import FolderCollection, build

    root, colours = tmp_path / "scenes", ("red", "blue")
    (root / "images").mkdir(parents=True)
    for file in world.folder.glob("*.png"):
        (root / "images" / file.name).write_bytes(file.read_bytes())
    queries = [
        {"qid": name, "kind": "core", "text": f"a {name} square", "predicates": [], "targets": [f"images/{name}.png"]}
        for name in colours
    ]  # fmt: skip
    (root / "tir.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    benchmark = datasets.load("scenes", root, split="tir")
    galleries, services = benchmark.open_galleries(), talking(world)
    (gallery,) = galleries.values()
    asyncio.run(
        build(gallery.folder, tmp_path / "index", services.embedder, services.captioner, "say",
              captioner_weights="none", only=frozenset(gallery.files.values()), progress=False)
    )  # fmt: skip
    object.__setattr__(services, "collection", FolderCollection.open(tmp_path / "index"))
    monkeypatch.setenv("IMAGESCOPE_TRACES", str(tmp_path / "traces"))
    scopes = {name: ImageScope(services, runs=False) for name in galleries}
    evaluate("scenes", root=root, split="tir", out=tmp_path / "run", progress=False,
             system=GraphSystem(benchmark, galleries, scopes, {}))  # fmt: skip
    records = [json.loads(line) for line in (tmp_path / "run" / "per_query.jsonl").read_text().splitlines()]
    evaluated = {record["text"]: counted(record["usage"]) for record in records}
    assert {trace.query: counted(trace.usage) for trace in traces(tmp_path / "traces")} == evaluated
    searched = next(iter(scopes.values())).search(str(queries[0]["text"]), k=len(gallery.files))
    assert counted(searched.usage) == evaluated[queries[0]["text"]]

"""SpanExporter of a run: OpenInference attributes, nested rightly, with the token counts of the result."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer
from imagescope_agent.traces.otel import KIND, SpanExporter
from imagescope_agent.traces.record import Recorder

KEY = "sk-abcdefghijklmnopqrstuvwxyz123456"


class State(TypedDict, total=False):
    query: str
    candidates: list[dict[str, Any]]
    judgement: dict[str, Any]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def run(provider: TracerProvider, **nodes: Any) -> None:
    graph = StateGraph(State)
    for before, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        graph.add_node(name, node)
        graph.add_edge(before, name)
    graph.add_edge(list(nodes)[-1], END)
    config: Any = {"callbacks": [Recorder(SpanExporter(provider))], "configurable": {"thread_id": "t"}}
    asyncio.run(graph.compile(name="mine").ainvoke({"query": f"red {KEY}"}, config))


def test_spans_are_nested_as_the_work_was(exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
    tracer = provider.get_tracer("theirs")
    picture = ImageRef(key="k1", data=b"\x89PNG pixels")
    verifier = Role("verifier", ScriptedScorer(lambda asked: [3, 1]))

    async def retrieve(state: State) -> dict[str, Any]:
        with tracer.start_as_current_span("by hand"):
            await asyncio.sleep(0)
        return {"candidates": [{"id": "red.png", "retrieve": 0.5}]}

    async def order(state: State) -> dict[str, Any]:
        await verifier.choose([Request(text=f"Is it red? {KEY}", images=(picture,))], ["Yes", "No"])
        await Scripted("hello").ainvoke("who?")
        return {"judgement": {"order": ["red.png"]}}

    with tracer.start_as_current_span("request"):
        run(provider, retrieve=retrieve, ordering=order)
    with tracer.start_as_current_span("afterwards"):
        pass
    finished = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished}
    parents = sorted((span.name, names[span.parent.span_id] if span.parent else "") for span in finished)
    assert parents == [
        ("afterwards", ""), ("by hand", "retrieve"), ("mine", "request"), ("ordering", "mine"),
        ("ordering", "ordering"), ("request", ""), ("retrieve", "mine"), ("verifier", "ordering"),
    ]  # fmt: skip


def test_attributes_follow_openinference_and_hold_no_secret(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    verifier = Role("verifier", ScriptedScorer(lambda asked: [3, 1]))

    async def retrieve(state: State) -> dict[str, Any]:
        spent.append((await verifier.choose([Request(text=f"Is it red? {KEY}")], ["Yes", "No"])).usage)
        return {"candidates": [{"id": "red.png", "retrieve": 0.5}]}

    async def judge(state: State) -> dict[str, Any]:
        return {"judgement": {"order": ["red.png"]}}

    spent: list[Any] = []
    run(provider, retrieve=retrieve, judge=judge)
    told = {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}
    assert {name: each[KIND] for name, each in told.items()} == {
        "mine": "AGENT", "retrieve": "RETRIEVER", "judge": "RERANKER", "verifier": "LLM",
    }  # fmt: skip
    assert told["mine"]["session.id"] == "t"
    assert told["retrieve"]["retrieval.documents.0.document.id"] == "red.png"
    assert told["judge"]["reranker.output_documents.0.document.id"] == "red.png"
    call = told["verifier"]
    assert call["llm.token_count.prompt"] == spent[0]["prompt_tokens"] > 0
    assert call["llm.output_messages.0.message.content"] == '{"Yes": 0.75, "No": 0.25}'
    assert KEY not in str(told)


def test_a_failed_node_and_its_run_are_marked(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    async def broken(state: State) -> dict[str, Any]:
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        run(provider, broken=broken)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert {span.status.status_code for span in spans.values()} == {StatusCode.ERROR}
    assert spans["broken"].status.description == "ValueError: no picture"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_one_variable_sends_every_search(
    world: Any, exporter: InMemorySpanExporter, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagescope_agent.api import ImageScope

    monkeypatch.setattr("imagescope_agent.traces.otel._provider", lambda: provider)
    monkeypatch.setenv("IMAGESCOPE_OTEL", "on")
    verifier = world.role("verifier", scorer=lambda asked: [1, 0])
    result = ImageScope(world.services(verifier=verifier), traces=False).search("a red square")
    spans = exporter.get_finished_spans()
    counts: list[Any] = [(span.attributes or {}).get("llm.token_count.prompt", 0) for span in spans]
    total = sum(counts)
    assert total == result.usage["prompt_tokens"]
    assert sum(span.parent is None for span in spans) == 1

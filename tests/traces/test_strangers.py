"""A graph that is not ours leaves a trace too, however its nodes ask; a killed run's ends where it was."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer
from imagescope_agent.traces.record import Recorder
from imagescope_agent.traces.store import TraceStore
from imagescope_agent.traces.trace import Trace

PICTURE = ImageRef(key="k1", data=b"\x89PNG pixels")


class State(TypedDict, total=False):
    query: str
    ranking: list[str]


def run(path: Path, node: Any) -> Trace:
    graph = StateGraph(State)
    graph.add_node("theirs", node)
    graph.add_edge(START, "theirs")
    graph.add_edge("theirs", END)
    with closing(TraceStore(path)) as store:
        recorder = Recorder(store, name_of={"k1": "red.png"}.get)  # type: ignore[arg-type]
        config: Any = {"callbacks": [recorder], "configurable": {"thread_id": "t"}}
        try:
            asyncio.run(graph.compile(name="stranger").ainvoke({"query": "red"}, config))
        finally:
            assert recorder.notes() == []
            trace = Trace(*store.read("t"))
    return trace


def test_scored_and_written_answers_of_a_role_are_recorded_and_counted(tmp_path: Path) -> None:
    judge = Role("judge", ScriptedScorer(lambda asked: [3, 1], "Yes: red"))
    spent: list[Any] = []

    async def theirs(state: State) -> dict[str, Any]:
        question = Request(text="Is it red?", images=(PICTURE,))
        spent.append((await judge.choose([question, question], ["Yes", "No"])).usage)
        spent.append((await judge.ask([question]))[0].usage)
        return {"ranking": ["red.png"]}

    trace = run(tmp_path / "t", theirs)
    scored, written = trace.calls
    assert scored.questions[0].answer == [0.75, 0.25]
    assert scored.choices == ("Yes", "No")
    assert written.questions[0].answer == "Yes: red"
    assert scored.images == written.images == ("red.png",)
    assert {scored.role, written.role} == {"judge"}
    for name in ("prompt_tokens", "completion_tokens", "image_prefills"):
        assert trace.usage[name] == sum(part[name] for part in spent)
    assert trace.usage["calls"] == {"judge": 3}
    assert trace.head["graph"] == "stranger"
    assert trace.stages == [("theirs", ["red.png"])]
    assert trace.status == "done"
    assert "pixels" not in str(trace.events)


def test_a_plain_chat_model_goes_by_the_name_of_its_node(tmp_path: Path) -> None:
    async def theirs(state: State) -> dict[str, Any]:
        await Scripted("hello").ainvoke("who is there?")
        return {}

    call = run(tmp_path / "t", theirs).calls[0]
    assert (call.role, call.questions[0].text, call.questions[0].answer) == (
        "theirs",
        "who is there?",
        "hello",
    )


def test_a_failing_node_ends_the_trace_with_its_error_and_its_calls_are_not_counted(tmp_path: Path) -> None:
    async def theirs(state: State) -> dict[str, Any]:
        await Scripted("hello").ainvoke("who is there?")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(tmp_path / "t", theirs)
    with closing(TraceStore(tmp_path / "t")) as store:
        trace = Trace(*store.read())
    assert trace.status == "failed"
    assert trace.steps[0].error == "ValueError: broken"
    assert trace.usage["calls"] == {}
    assert len(trace.calls) == 1

"""Steps that asked no model and took no time are written together; a step that cost something is written at once."""

from __future__ import annotations

import asyncio
import operator
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from imagescope_agent.runs import step_saver
from imagescope_agent.runs.checkpoints import open_checkpoints
from imagescope_agent.runs.step_saver import RunStore, StepSaver


class State(TypedDict, total=False):
    text: str
    usage: Annotated[list[dict[str, int]], operator.add]


def graph(path: Path, seen: list[int], costs: list[int], last: Callable[[], object] = lambda: None) -> Any:
    """Steps of so many model calls; each notes how many checkpoints the file holds when it begins."""
    built: Any = StateGraph(State)

    def step(number: int, calls: int) -> Callable[[State], State]:
        def work(state: State) -> State:
            with closing(sqlite3.connect(path)) as base:
                seen.append(base.execute("select count(*) from checkpoints").fetchone()[0])
            if number == len(costs) - 1:
                last()
            return {"text": f"{state['text']}{number}", "usage": [{"calls": calls}]}

        return work

    for number, calls in enumerate(costs):
        built.add_node(f"s{number}", step(number, calls))
        built.add_edge(f"s{number - 1}" if number else START, f"s{number}")
    built.add_edge(f"s{len(costs) - 1}", END)
    return built


async def run(store: RunStore, built: Any, given: Any) -> Any:
    async with store.keeping("a") as (saver, _):
        config = {"configurable": {"thread_id": "a"}}
        return await built.compile(checkpointer=saver).ainvoke(given, config, durability="sync")


async def steps_of(path: Path) -> list[int]:
    async with open_checkpoints(path) as saver:
        return [each.metadata["step"] async for each in saver.alist({"configurable": {"thread_id": "a"}})]


def test_steps_without_a_model_call_are_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_saver, "MOMENT", 3600.0)  # seconds: a busy machine is no failure
    path, seen = tmp_path / "runs", list[int]()
    store = RunStore(path, required=True)
    given = {"text": "", "usage": []}
    assert asyncio.run(run(store, graph(path, seen, [0, 0, 0]), given))["text"] == "012"
    assert seen == [1, 1, 1]  # what the run was given is there from the first step on
    assert asyncio.run(steps_of(path)) == [3, 2, 1, 0, -1]  # in the end every step is


def test_a_step_that_asked_a_model_is_written_at_once_with_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_saver, "MOMENT", 3600.0)
    path, seen = tmp_path / "runs", list[int]()
    built = graph(path, seen, [0, 2, 0, 0])
    asyncio.run(run(RunStore(path, required=True), built, {"text": "", "usage": []}))
    assert seen == [1, 1, 4, 4]


def test_a_step_that_took_its_time_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_saver, "MOMENT", 0.0)
    path, seen = tmp_path / "runs", list[int]()
    asyncio.run(run(RunStore(path, required=True), graph(path, seen, [0, 0, 0]), {"text": "", "usage": []}))
    assert seen == [2, 3, 4]


def test_a_run_that_failed_goes_on_after_its_last_step(tmp_path: Path) -> None:
    path, seen, away = tmp_path / "runs", list[int](), [True]

    def last() -> None:
        if away[0]:
            raise ConnectionError("away")

    built = graph(path, seen, [0, 0, 0], last)
    with pytest.raises(ConnectionError):
        asyncio.run(run(RunStore(path, required=True), built, {"text": "", "usage": []}))
    away[0] = False
    assert asyncio.run(run(RunStore(path, required=True), built, None))["text"] == "012"
    assert len(seen) == 4  # the first two steps were not done again


def test_a_checkpoint_is_as_its_step_left_it_whatever_the_next_one_changes_in_place(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    built: Any = StateGraph(State)

    def add(state: State) -> State:
        return {"usage": [{"calls": 0}]}

    def spoil(state: State) -> State:
        state["usage"].append({"calls": 99})
        raise LookupError

    built.add_node("add", add)
    built.add_node("spoil", spoil)
    built.add_edge(START, "add")
    built.add_edge("add", "spoil")
    with pytest.raises(LookupError):
        asyncio.run(run(RunStore(path, required=True), built, {"text": "", "usage": []}))

    async def kept() -> Any:
        async with open_checkpoints(path) as saver:
            return await saver.aget_tuple({"configurable": {"thread_id": "a"}})

    assert asyncio.run(kept()).checkpoint["channel_values"]["usage"] == [{"calls": 0}]


def test_a_run_cancelled_while_another_process_writes_loses_no_finished_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flush = tmp_path / "runs", StepSaver.flush

    async def cancelled() -> None:
        held_up = asyncio.Event()
        store = RunStore(path, required=True)
        async with store.keeping("other"):
            pass
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

        async def flushed(saver: StepSaver, thread: str) -> None:
            if other.in_transaction:
                held_up.set()
            await flush(saver, thread)

        monkeypatch.setattr(StepSaver, "flush", flushed)

        async def asks(state: State) -> State:
            other.execute("begin immediate")
            return {"usage": [{"calls": 5}]}

        built: Any = StateGraph(State)
        built.add_node("asks", asks)
        built.add_edge(START, "asks")
        task = asyncio.create_task(run(store, built, {"text": "", "usage": []}))
        await asyncio.wait_for(
            held_up.wait(), 60
        )  # the step has ended, and its checkpoint waits for the file
        task.cancel()
        await asyncio.sleep(0.05)
        other.execute("commit")
        other.close()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert asyncio.run(steps_of(path))[0] == 1

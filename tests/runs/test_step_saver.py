"""Searches are kept through one connection, a transaction a step, and a kill loses one step."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.runs import step_saver
from imagescope_agent.runs.checkpoints import open_checkpoints
from imagescope_agent.runs.step_saver import RunStore
from tests.chat.talk import talking


class State(TypedDict, total=False):
    text: str


def graph(steps: int, fails: Callable[[], bool] = lambda: False) -> Any:
    built = StateGraph(State)
    for number in range(steps):
        built.add_node(f"s{number}", lambda state, number=number: {"text": f"{state['text']}{number}"})
        built.add_edge(f"s{number - 1}" if number else START, f"s{number}")

    def last(state: State) -> State:
        if fails():
            raise ConnectionError("away")
        return {"text": f"{state['text']}!"}

    built.add_node("last", last)
    built.add_edge(f"s{steps - 1}", "last")
    built.add_edge("last", END)
    return built


async def run(store: RunStore, built: Any, thread: str, given: Any) -> Any:
    async with store.keeping(thread) as (saver, problem):
        assert saver is not None and not problem
        config = {"configurable": {"thread_id": thread}}
        return await built.compile(checkpointer=saver).ainvoke(given, config, durability="sync")


def statements(path: Path, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done through the connections that are opened to a file meanwhile."""
    seen: list[str] = []
    connect = sqlite3.connect

    def watched(place: Any, *given: Any, **options: Any) -> Any:
        base = connect(place, *given, **options)
        if str(path) in str(place):
            seen.append("open")
            base.set_trace_callback(lambda told: seen.append(told.split()[0].lower()))
        return base

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", watched)
        work()
    return seen


def test_a_step_is_one_transaction_and_nothing_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, built = tmp_path / "runs", graph(3)
    store = RunStore(path, required=True)

    def twice() -> None:
        for thread in ("a", "b"):
            assert asyncio.run(run(store, built, thread, {"text": ""})) == {"text": "012!"}

    seen = statements(path, twice, monkeypatch)
    assert seen.count("open") == 2  # to look at it, and to keep it
    kept = seen[len(seen) - seen[::-1].index("open") :]
    with closing(sqlite3.connect(path)) as base:
        (checkpoints,) = base.execute("select count(*) from checkpoints").fetchone()
        (writes,) = base.execute("select count(*) from writes").fetchone()
    assert kept.count("commit") == kept.count("begin") == checkpoints == 2 * 6
    assert writes == 0  # they are in the checkpoints


def test_what_was_written_is_read_by_the_store_of_before(tmp_path: Path) -> None:
    path, built = tmp_path / "runs", graph(2)
    asyncio.run(run(RunStore(path, required=True), built, "a", {"text": "x"}))

    async def read() -> Any:
        async with open_checkpoints(path) as saver:
            found = await saver.aget_tuple({"configurable": {"thread_id": "a"}})
            assert found is not None
            return found.checkpoint["channel_values"]["text"], found.metadata["step"]

    assert asyncio.run(read()) == ("x01!", 3)


def test_a_run_that_failed_goes_on_after_its_last_step(tmp_path: Path) -> None:
    away = [True]
    built = graph(2, lambda: away[0])
    with pytest.raises(ConnectionError):
        asyncio.run(run(RunStore(tmp_path / "runs", required=True), built, "a", {"text": "x"}))
    away.clear()
    away.append(False)
    with closing(sqlite3.connect(tmp_path / "runs")) as base:  # the failed task's writes too
        assert base.execute("select count(*) from writes where channel = '__error__'").fetchone() == (1,)
    assert asyncio.run(run(RunStore(tmp_path / "runs", required=True), built, "a", None)) == {"text": "x01!"}


def test_concurrent_runs_in_several_event_loops_keep_apart(tmp_path: Path) -> None:
    store, built = RunStore(tmp_path / "runs", required=True), graph(4)

    async def many(name: str) -> list[Any]:
        return list(
            await asyncio.gather(
                *(run(store, built, f"{name}{i}", {"text": f"{name}{i}:"}) for i in range(8))
            )
        )

    async def loops() -> list[list[Any]]:
        return list(
            await asyncio.gather(*(asyncio.to_thread(asyncio.run, many(name)) for name in ("a", "b", "c")))
        )

    found = asyncio.run(loops())
    assert found == [[{"text": f"{name}{i}:0123!"} for i in range(8)] for name in ("a", "b", "c")]


def test_another_process_that_writes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, built = tmp_path / "runs", graph(1)
    store = RunStore(path, required=True)
    asyncio.run(run(store, built, "a", {"text": ""}))

    async def held() -> Any:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin immediate")
            task = asyncio.create_task(run(store, built, "b", {"text": ""}))
            for _ in range(20):  # the event loop goes on meanwhile
                await asyncio.sleep(0.01)
            assert not task.done()
            other.execute("rollback")
        return await task

    assert asyncio.run(held()) == {"text": "0!"}
    monkeypatch.setattr(step_saver, "PATIENCE", 0.05)

    async def for_ever() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(BadInput, match="locked"):
                await run(store, built, "c", {"text": ""})

    asyncio.run(for_ever())


def test_a_file_that_was_removed_or_replaced_is_opened_anew(tmp_path: Path) -> None:
    path, built = tmp_path / "folder" / "runs", graph(1)
    store = RunStore(path, required=True)
    asyncio.run(run(store, built, "a", {"text": ""}))
    for file in path.parent.iterdir():
        file.unlink()
    asyncio.run(run(store, built, "b", {"text": ""}))
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("select distinct thread_id from checkpoints").fetchall() == [("b",)]
    path.unlink()
    with closing(sqlite3.connect(path)) as base:
        base.execute("create table theirs (a)")
    with pytest.raises(BadInput, match="something else"):
        asyncio.run(run(store, built, "c", {"text": ""}))


def test_a_later_search_opens_no_database(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = ImageScope(talking(world), graph="retrieve", runs=tmp_path / "runs", traces=tmp_path / "traces")
    first = statements(tmp_path, lambda: scope.search("a red square"), monkeypatch)
    assert first.count("open") == 3  # runs are looked at first
    later = statements(tmp_path, lambda: scope.search("a blue square"), monkeypatch)
    assert "open" not in later and "create" not in later
    with closing(sqlite3.connect(tmp_path / "runs")) as base:
        assert base.execute("select count(distinct thread_id) from checkpoints").fetchone() == (2,)
    with closing(sqlite3.connect(tmp_path / "traces")) as base:
        assert base.execute("select count(*) from runs").fetchone() == (2,)


@pytest.mark.parametrize("name", ["runs", "traces"])
def test_a_schema_that_changed_meanwhile_is_checked(world: Any, tmp_path: Path, name: str) -> None:
    scope = ImageScope(talking(world), graph="retrieve", runs=tmp_path / "runs", traces=tmp_path / "traces")
    scope.search("a red square")
    table = {"runs": "checkpoints", "traces": "events"}[name]
    with closing(sqlite3.connect(tmp_path / name)) as base:
        base.execute(f"create trigger t after insert on {table} begin delete from {table}; end")
    if name == "traces":
        assert [(note["step"], note["kind"]) for note in scope.search("a red square").notes] == [
            ("trace", "skipped")
        ]
        return
    with pytest.raises(BadInput, match="trigger"):
        scope.search("a red square")

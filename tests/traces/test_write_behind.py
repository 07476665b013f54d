"""Events of traces are written together: at the end of a run, within a moment, when a store is closed, at exit."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.traces import write_behind
from imagescope_agent.traces.packing import pack
from imagescope_agent.traces.store import TraceStore

ABOUT: dict[str, Any] = {"profile": "custom"}
LATER = 60.0  # seconds: never, as far as a test goes


@pytest.fixture(autouse=True)
def no_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", LATER)


def kinds(path: Path) -> list[str]:
    """What another process would read."""
    with closing(sqlite3.connect(path)) as base:
        return [row[0] for row in base.execute("select kind from events order by seq")]


def test_a_run_is_written_at_once_and_its_events_with_its_end_as_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    connect = sqlite3.connect

    def watched(*given: Any, **options: Any) -> Any:
        base = connect(*given, **options)
        base.set_trace_callback(lambda told: seen.append(told.split()[0].lower()))
        return base

    monkeypatch.setattr(sqlite3, "connect", watched)
    with closing(TraceStore(tmp_path / "t")) as store:
        for number in range(2):
            run = store.start(f"run{number}", graph="g", query="q", about=ABOUT)
            with closing(connect(tmp_path / "t")) as base:
                assert base.execute("select count(*) from runs").fetchone() == (number + 1,)
            seen.clear()
            span = store.append(run, "node", {"node": "a"})
            store.append(run, "node_end", {"span": span})
            assert kinds(tmp_path / "t") == ["node", "node_end", "end"] * number
            store.append(run, "end", {"status": "done"})
            assert kinds(tmp_path / "t") == ["node", "node_end", "end"] * (number + 1)
        assert seen.count("commit") == 1  # of the second run: its numbers were reserved by the first
        _, events = store.read(run)
        assert events[1]["span"] == events[0]["seq"] == span


def test_what_waits_is_written_within_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", 0.001)
    with closing(TraceStore(tmp_path / "t")) as store:
        store.append(store.start("run", graph="g", query="q", about=ABOUT), "node", {"node": "a"})
        end = time.monotonic() + 60
        while not kinds(tmp_path / "t") and time.monotonic() < end:
            time.sleep(0.01)
        assert kinds(tmp_path / "t") == ["node"]


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    with closing(TraceStore(tmp_path / "t")) as store:
        run = store.start("run", graph="g", query="q", about=ABOUT)
        for number in range(write_behind.MOST_WAITING + 1):
            store.append(run, "call", {"number": number})
        assert len(kinds(tmp_path / "t")) == write_behind.MOST_WAITING + 1


PROGRAM = """
import os, signal, sys
from pathlib import Path
from imagescope_agent.traces import write_behind
from imagescope_agent.traces.packing import pack
from imagescope_agent.traces.store import TraceStore
write_behind.MOMENT = 60.0
store = TraceStore(Path(sys.argv[1]))
done = store.start("done", graph="g", query="q", about={})
store.append(done, "node", {"node": "a"})
store.append(done, "end", {"status": "done"})
cut = store.start("cut", graph="g", query="q", about={})
store.append(cut, "node", {"node": "a"})
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "kept"), [("kill", 0), ("exit", 1)])
def test_a_kill_costs_what_waits_and_no_run_and_an_exit_costs_nothing(
    tmp_path: Path, how: str, kept: int
) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "t"), how], check=False)
    assert ended.returncode == (-signal.SIGKILL if how == "kill" else 0)
    with closing(TraceStore(tmp_path / "t", reading=True)) as store:
        assert {each.id: each.status for each in store.runs()} == {
            "done.1": "done",
            "cut.1": "running or cut off",
        }
        assert len(store.read("done")[1]) == 2
        assert len(store.read("cut")[1]) == kept


def test_processes_and_threads_number_their_events_apart(tmp_path: Path) -> None:
    stores = [TraceStore(tmp_path / "t") for _ in range(3)]

    def write(store: TraceStore, name: str) -> None:
        run = store.start(name, graph="g", query="q", about=ABOUT)
        for number in range(200):
            store.append(run, "call", {"number": number})
        store.append(run, "end", {"status": "done"})

    threads = [
        threading.Thread(target=write, args=(store, f"{place}-{number}"))
        for place, store in enumerate(stores)
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        for place in range(3):
            _, events = store.read(f"{place}-1")
            assert [event.get("number") for event in events] == [*range(200), None]
    with closing(sqlite3.connect(tmp_path / "t")) as base:
        assert base.execute("select count(*) from events").fetchone() == (6 * 201,)
    for store in stores:
        store.close()


def test_a_forked_process_writes_nothing_of_its_parent(tmp_path: Path) -> None:
    with closing(TraceStore(tmp_path / "t")) as store:
        run = store.start("run", graph="g", query="q", about=ABOUT)
        store.append(run, "node", {"node": "a"})
        if not (child := os.fork()):
            store._behind.flush()
            os._exit(0)
        os.waitpid(child, 0)
        assert kinds(tmp_path / "t") == []
        store.append(run, "end", {"status": "done"})
    assert kinds(tmp_path / "t") == ["node", "end"]


def test_every_run_is_told_that_its_events_could_not_be_written(tmp_path: Path) -> None:
    with closing(TraceStore(tmp_path / "t")) as store:
        runs = [store.start(name, graph="g", query="q", about=ABOUT) for name in "ab"]
        for run in runs:
            store.append(run, "node", {"node": "a"})
        with closing(sqlite3.connect(tmp_path / "t", isolation_level=None)) as other:
            other.execute("drop table events")
        with pytest.raises(sqlite3.Error):
            store.append(runs[0], "end", {"status": "done"})
        with pytest.raises(sqlite3.Error):
            store.append(runs[1], "call", {})


def test_an_event_that_is_too_large_costs_its_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagescope_agent.traces import packing

    monkeypatch.setattr(packing, "LARGEST_EVENT", 1000)
    with closing(TraceStore(tmp_path / "t")) as store:
        first, second = (store.start(name, graph="g", query="q", about=ABOUT) for name in "ab")
        store.append(first, "call", {"text": "x" * 2000})
        store.append(second, "node", {"node": "a"})
        with pytest.raises(ValueError, match="more than 1000"):
            store.append(first, "end", {"status": "done"})
        store.append(second, "end", {"status": "done"})
        assert [event["kind"] for event in store.read("b")[1]] == ["node", "end"]


def test_the_thread_of_a_closed_store_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", 0.01)
    before = {*threading.enumerate()}
    for number in range(3):
        with closing(TraceStore(tmp_path / f"t{number}")) as store:
            store.append(store.start("run", graph="g", query="q", about=ABOUT), "node", {"node": "a"})
    for thread in {*threading.enumerate()} - before:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_what_an_interrupt_stops_is_written_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(data: Any) -> bytes:
        raise KeyboardInterrupt

    with closing(TraceStore(tmp_path / "t")) as store:
        run = store.start("run", graph="g", query="q", about=ABOUT)
        store.append(run, "node", {"node": "a"})
        with monkeypatch.context() as patched:
            patched.setattr(write_behind, "pack", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.append(run, "end", {"status": "done"})
    assert kinds(tmp_path / "t") == ["node", "end"]


def test_an_event_that_is_added_while_a_store_is_closed_is_refused_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, taken = TraceStore(tmp_path / "t"), ["node"]
    run = store.start("run", graph="g", query="q", about=ABOUT)
    store.append(run, "node", {"node": "a"})

    def meanwhile(data: Any) -> bytes:
        with suppress(ValueError):
            store.append(run, "call", {})
            taken.append("call")
        return pack(data)

    monkeypatch.setattr(write_behind, "pack", meanwhile)
    store.close()
    assert kinds(tmp_path / "t") == taken


def test_a_store_that_the_thread_which_writes_frees_is_written_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", 0.001)
    kept = [TraceStore(tmp_path / "t")]

    def freeing(data: Any) -> bytes:
        kept.clear()  # as the garbage collector does, which runs in any thread
        return pack(data)

    monkeypatch.setattr(write_behind, "pack", freeing)
    kept[0].append(kept[0].start("run", graph="g", query="q", about=ABOUT), "node", {"node": "a"})
    end = time.monotonic() + 20
    while not kinds(tmp_path / "t") and time.monotonic() < end:
        time.sleep(0.01)
    assert kept == [] and kinds(tmp_path / "t") == ["node"]

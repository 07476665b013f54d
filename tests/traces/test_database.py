"""A database of traces that is silent, away for a moment, or used by a process that was forked."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.traces import write_behind
from imagescope_agent.traces.database import DatabaseTraces
from imagescope_agent.traces.open_store import OpenStore
from tests.engines import Server

HANGS = 30  # seconds after which a test that waits for ever is ended


def wait_until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + HANGS
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def waiting_for_locks(url: str) -> int:
    """How many statements wait for a lock in the database."""
    import psycopg

    sql = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with psycopg.connect(url) as base:
        return len(base.execute(sql).fetchall())


def test_an_event_loop_does_not_wait_for_a_store_that_another_thread_opens(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    store = OpenStore()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(3) as pool:
        listener.settimeout(HANGS)
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        url = f"postgresql://u@{where}/d?sslmode=disable&gssencmode=disable&connect_timeout=300"
        opening = pool.submit(store.open, url, "s")
        line = listener.accept()[0]
        try:
            for place in (url, tmp_path / "t"):
                assert pool.submit(store.known, place).result(HANGS) is None
            assert not opening.done()
        finally:
            line.close()
        with pytest.raises(BackendUnavailable):
            opening.result(HANGS)


def reopened_by_a_fork(store: OpenStore, url: str, release: Callable[[], object]) -> int:
    """Fork, let the threads of this process go on, open the store in the new process; its exit status."""
    ready, go = os.pipe()
    if not (child := os.fork()):
        code = 1
        try:
            signal.alarm(HANGS)
            os.read(ready, 1)
            opened = store.open(url, "s")
            opened.append(opened.start("child", graph="g", query="q", about={}), "end", {})
            code = 0
        finally:
            os._exit(code)
    release()
    os.write(go, b".")
    os.close(go)
    os.close(ready)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("opening", [False, True])
def test_a_process_forked_while_a_thread_waits_for_the_database_opens_it_anew(
    url: str, opening: bool
) -> None:
    import psycopg

    store = OpenStore()
    with (
        closing(store.open(url, "s")) as traces,
        psycopg.connect(url) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        run = traces.start("t", graph="g", query="q", about={})
        traces.append(run, "node", {})
        other.execute("lock table imagescope_trace_events in access exclusive mode")
        wait_until(lambda: waiting_for_locks(url) == 1)
        if opening:
            pool.submit(store.open, url, "s")
            wait_until(lambda: store._lock().locked())
        assert reopened_by_a_fork(store, url, other.rollback) == 0
        traces.append(run, "end", {})
        for name, kinds in (("t", ["node", "end"]), ("child", ["end"])):
            assert [event["kind"] for event in traces.read(name)[1]] == kinds


def test_a_run_that_ends_while_the_database_is_away_costs_no_other_run_its_events(
    url: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", 60.0)  # never, as far as this test goes
    with closing(DatabaseTraces(url, "s")) as store:
        ended, other = (store.start(name, graph="g", query="q", about={}) for name in "tu")
        for number in range(3):
            store.append(other, "call", {"n": number})
        postgres.kill()
        try:
            with pytest.raises(BackendUnavailable):
                store.append(ended, "end", {})
        finally:
            postgres.start()
        store.append(other, "end", {})
        assert [event.get("n") for event in store.read(other)[1]] == [0, 1, 2, None]
        assert store.read(ended)[1] == []


def test_a_store_is_closed_without_waiting_for_a_write_that_goes_on_for_too_long(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import psycopg

    monkeypatch.setattr(write_behind, "LONGEST_WAIT", 0.1)
    store = DatabaseTraces(url, "s")
    run = store.start("t", graph="g", query="q", about={})
    with psycopg.connect(url) as other:
        store.append(run, "node", {})
        other.execute("lock table imagescope_trace_events in access exclusive mode")
        wait_until(lambda: waiting_for_locks(url) == 1)
        store.append(run, "call", {})
        store.close()
        assert waiting_for_locks(url) == 1
        assert "last events of its runs may be lost" in caplog.text
        other.rollback()
    with closing(
        DatabaseTraces(url, "s", reading=True)
    ) as reader:  # the process lives: they are written after all
        wait_until(lambda: [event["kind"] for event in reader.read(run)[1]] == ["node", "call"])
    wait_until(lambda: not store._session._open)

"""A database of traces that is silent, away for a moment, or used by a process that was forked."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.traces.open_store import OpenStore
from tests.engines import Server, pgvector_server

HANGS = 30  # seconds after which a test that waits for ever is ended


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("PostgreSQL needs an extra: pip install 'imagescope-agent[postgres]'")
    with pgvector_server() as server:
        yield server


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database()


def wait_until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + HANGS
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


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

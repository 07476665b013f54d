"""An index "hnsw" of PostgreSQL is built in memory where the server has so much, and as well where it has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace
from imagescope_agent.retrieval.stores import open_store, pgvector, pgvector_tables, postgres
from imagescope_agent.retrieval.stores.joint import JointBackend
from tests.engines import Server

COUNT, SIZE = 3000, 48


def tight(noticed: list[str]) -> bool:
    """Whether the extension ran out of memory, and went on page by page."""
    return any("no longer fits into maintenance_work_mem" in each for each in noticed)


@pytest.fixture
def noticed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server remarks on while rows are written."""
    said: list[str] = []

    def listening(url: str) -> Any:
        base = postgres.connect(url)
        base.execute("SET client_min_messages = notice")
        base.add_notice_handler(lambda each: said.append(str(each.message_primary)))
        return base

    monkeypatch.setattr(pgvector, "connect", listening)
    return said


def set_up(server: Server, **settings: str) -> str:
    """The URL of a new database with settings of its own."""
    url = server.database()
    with postgres.connect(url) as base:
        (name,) = base.execute("SELECT current_database()").fetchone()
        for setting, value in settings.items():
            base.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    return url


def built(url: str, place: Path) -> list[str]:
    """What is told while an index is built; it is searched afterwards."""
    backend, told = open_store(f"pgvector:{url}"), list[str]()
    assert isinstance(backend, JointBackend)
    spaces = [Space(name=name, dimension=SIZE, weights="w") for name in ("image", "caption")]
    rows = np.random.default_rng(0).standard_normal((COUNT, SIZE)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = [f"{row:04}" for row in range(COUNT)]
    kept = backend.write_joint(place, ids, spaces, [[rows], [rows]], index="hnsw", tell=told.append)
    stored = [StoredSpace(**vars(space), kept=each) for space, each in zip(spaces, kept, strict=True)]
    asked = [SpaceQuery(space="image", vector=rows[7], weight=1.0)]
    store: Any = backend.open(place, ids, stored)
    ((best, _),) = store.search(asked, 1)
    assert best == "0007" and "index hnsw" in told.pop()
    left = store._engine._ask(lambda base: base.execute("SHOW enable_seqscan").fetchone())
    assert left == ("on",), "settings end with the search: a pooler gives the connection to others"
    return told


def test_an_index_is_built_in_memory_though_the_server_gives_little_unasked(
    pgvector: Server, noticed: list[str], tmp_path: Path
) -> None:
    assert built(set_up(pgvector, maintenance_work_mem="1MB"), tmp_path) == [] and not tight(noticed)


def test_no_more_memory_is_taken_than_whoever_set_the_server_up_says_there_is(
    pgvector: Server, noticed: list[str], tmp_path: Path
) -> None:
    (told,) = built(
        set_up(pgvector, maintenance_work_mem="1MB", effective_cache_size="2MB"), tmp_path
    )  # the index takes 11 MB
    assert "raise its effective_cache_size" in told and tight(noticed)


def test_an_index_is_built_where_the_memory_that_workers_share_is_too_small(
    pgvector: Server, noticed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector_tables, "NODE", 400_000_000)  # 1.2 TB, which /dev/shm has nowhere
    url = set_up(
        pgvector, maintenance_work_mem="1MB", effective_cache_size="1500GB", min_parallel_table_scan_size="0"
    )
    (told,) = built(url, tmp_path)
    assert "does not get 1,200,009 MB of memory (could not resize shared memory" in told and tight(noticed)

"""Where a database lies, what is fetched of it again and again, and what a killed indexer leaves in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.retrieval.captions.lazy import FoundCaption
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index.migration import migrate
from imagescope_agent.retrieval.stores import kept_name, milvus, open_store, rescored
from imagescope_agent.retrieval.stores.joint_rows import JointRows
from tests.engines import Server, store_spec
from tests.retrieval.index_runs import Index
from tests.retrieval.test_migration import rows_there

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["milvus", "pgvector"])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of database whose engine is here."""
    store_spec(request.param, request)
    return str(request.param)


@pytest.fixture
def place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], str]:
    """A new database of that kind at a place of its own."""
    count = iter(range(9))
    if kind == "milvus":
        return lambda: f"milvus:{tmp_path / f'{next(count)}.db'}"
    server: Server = request.getfixturevalue("pgvector")
    return lambda: f"pgvector:{server.database()}"


def rankings(folder: Path, store: str) -> list[Any]:
    collection = FolderCollection.open(folder, store=store)
    return [collection.search(np.eye(48, dtype=np.float32)[row], 0.3, 9) for row in range(4)]


def tables(store: str) -> list[str]:
    """The tables of a database that are an index's, or the beginning of one."""
    name, _, where = store.partition(":")
    if name == "milvus":
        client = open_store(store)._client(Path("."))  # type: ignore[attr-defined]
        return sorted(client.list_collections())
    import psycopg

    with psycopg.connect(where) as base:
        query = "SELECT tablename FROM pg_tables WHERE starts_with(tablename, 'imagescope_')"
        return sorted(table for (table,) in base.execute(query).fetchall())


def test_an_index_moves_between_two_places_of_one_kind(
    place: Callable[[], str], pictures: Callable[..., Path], index: Index
) -> None:
    folder, first, second = pictures(12), place(), place()
    index(folder, store=first)
    want, there = rankings(folder, first), tables(first)
    with pytest.raises(BadInput, match="already"):
        migrate(folder, first, store=first)
    migrate(folder, second, store=first)
    assert rankings(folder, second) == want and tables(second) == there and tables(first) == []
    index(folder, store=second, captions="none", reply="other", captioner_weights="script-2")
    assert len(tables(second)) == 1, "what it had there before is still known as its own"


def test_one_place_by_two_names_keeps_its_index(
    pgvector: Server, pictures: Callable[..., Path], index: Index
) -> None:
    folder, first = pictures(6), f"pgvector:{pgvector.database()}"
    index(folder, store=first)
    want = rankings(folder, first)
    second = f"{first}&application_name=other"
    migrate(folder, second, store=first)
    assert rankings(folder, first) == rankings(folder, second) == want and len(tables(first)) == 1


def test_an_opener_of_another_package_is_kept_without_its_place() -> None:
    assert kept_name("their.package:opener:s3://user:secret@host/place") == "their.package:opener"
    assert kept_name("their.package:opener") == "their.package:opener"
    assert kept_name("milvus:http://host:19530") == "milvus"


def test_rows_with_a_caption_of_a_search_are_fetched_once(
    place: Callable[[], str], pictures: Callable[..., Path], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = pictures(40), place()
    index(folder, store=store, captions="lazy")
    monkeypatch.setattr(rescored, "MARGIN", 0)
    collection = FolderCollection.open(folder, store=store)
    words = np.eye(48, dtype=np.float32)
    found = [
        FoundCaption(key=collection.key(name), caption="words", words=words[row])
        for row, name in enumerate(collection.ids[:20])
    ]
    collection.add_captions(found)
    engine, fetched = collection._vectors._engine, list[int]()  # type: ignore[attr-defined]
    fetch = engine.fetch

    def watched(table: Any, rows: Any) -> Any:
        fetched.extend(rows)
        return fetch(table, rows)

    monkeypatch.setattr(engine, "fetch", watched)
    first = [collection.search(words[row], 0.5, 3) for row in range(5)]
    assert len(fetched) == len(set(fetched)) <= 20
    count = len(fetched)
    assert [collection.search(words[row], 0.5, 3) for row in range(5)] == first and len(fetched) == count
    collection.add_captions([])
    assert first == [
        collection._vectors._compared(_queries(words[row]), None, 3, set(), set())  # type: ignore[attr-defined]
        for row in range(5)
    ], "as where all rows are fetched"


def _queries(vector: Any) -> Any:
    from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, SpaceQuery

    return [SpaceQuery(space=name, vector=vector, weight=0.5) for name in (IMAGE, CAPTION)]


DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.stores.joint_rows import JointRows
from tests.retrieval.conftest import CountingEmbedder

folder, store, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
batches = JointRows.batches

def dying(self, size):
    for number, batch in enumerate(batches(self, 8)):
        if number == left:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

JointRows.batches = dying
role = Role("captioner", Scripted("a picture"))
asyncio.run(build(folder, None, CountingEmbedder(), role, "?", captioner_weights="w", store=store))
"""


@pytest.mark.parametrize("written", [0, 2])
def test_an_indexer_killed_while_it_writes_rows_leaves_nothing_lost_or_doubled(
    written: int, place: Callable[[], str], pictures: Callable[..., Path], index: Index
) -> None:
    folder, store = pictures(40), place()
    index(folder, folder / "plain.index", reply="a picture", prompt="?", captioner_weights="w")
    dead = subprocess.run(
        [sys.executable, "-c", DIES, str(folder), store, str(written)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert dead.returncode == -9, dead.stderr
    if store.startswith("pgvector"):  # a second process may look
        assert len(tables(store)) == 1 and "_new_" in tables(store)[0]
    report = index(folder, store=store, reply="a picture", prompt="?", captioner_weights="w")
    assert (report.new, report.unchanged) == (0, 40), "no model was asked again"
    assert len(tables(store)) == 1 and "_new_" not in tables(store)[0]
    assert rankings(folder, store) == rankings(folder / "plain.index", "faiss")


def test_a_database_killed_while_rows_are_written_gets_them_in_the_next_run(
    pgvector: Server, pictures: Callable[..., Path], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = pictures(40), f"pgvector:{pgvector.database()}"
    index(folder, folder / "plain.index")
    batches = JointRows.batches

    def cut(rows: JointRows, size: int) -> Any:
        for number, batch in enumerate(batches(rows, 8)):
            if number == 3:
                pgvector.kill()
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(JointRows, "batches", cut)
        try:
            with pytest.raises(BackendUnavailable, match="does not answer"):
                index(folder, store=store)
        finally:
            pgvector.start()
    assert rows_there(store) == 24, "whole batches"
    report = index(folder, store=store)
    assert (report.new, report.unchanged) == (0, 40), "no model was asked again"
    assert len(tables(store)) == 1 and rows_there(store) == 40
    assert rankings(folder, store) == rankings(folder / "plain.index", "faiss")


def test_a_renaming_that_milvus_is_asked_for_twice_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    class Asked:
        """A client that has asked again, when the first request was done after `late` more looks, or never."""

        def __init__(self, late: int | None) -> None:
            self.late, self.looks = late, 0

        def rename_collection(self, old: str, new: str) -> None:
            raise KeyError(old)

        def has_collection(self, name: str) -> bool:
            self.looks += name == "new"
            return (name == "new") == (self.late is not None and self.looks > self.late)

    for late in (0, 3):
        milvus._rename(Asked(late), "old", "new")
    never = Asked(None)
    with pytest.raises(KeyError):
        milvus._rename(never, "old", "new")
    assert never.looks == milvus.RENAMED

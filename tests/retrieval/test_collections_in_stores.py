"""An indexed folder in each store, with each kind of index: rankings, filters and changes are those of the default."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.retrieval.captions.lazy import FoundCaption
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.retrieval.stores import faiss_files, faiss_joint, joint, rescored
from imagescope_agent.retrieval.stores.pgvector import CONNECTIONS
from tests.engines import Server, store_spec

COUNT = 60
KINDS = [
    "faiss hnsw",
    "faiss ivfpq",
    "faiss pq4",
    "faiss sq8",
    "milvus exact",
    "milvus hnsw",
    "milvus ivfpq",
    "pgvector exact",
    "pgvector hnsw",
]
FILTERS = (
    "number >= 3",
    "number = 2.5 or city = 'Oslo'",
    "not (city in ('Rome', 'Lima')) and number < 8",
    "city like 'r%'",
    "city contains 'IM'",
    "city > 'Oslo'",
    "city != 'Rome'",
    "day >= 2024-02 and day <= 2024-03",
    "day = 2024-02-11",
    "day != 2024-02-11",
    "seen = true",
    "seen is missing or number is missing",
    "tags contains 'b' and not seen = false",
    "city = 'Nowhere'",
    "folder = 'sub' and number > 1",
)


def fields(folder: Path) -> None:
    """The user's fields: each is missing of some image."""
    rows = []
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    for row, name in enumerate(names):
        one: dict[str, Any] = {
            "file_name": name,
            "number": row / 2,
            "city": ("Rome", "Oslo", "Lima", "Ärö")[row % 4],
        }
        one |= {"day": f"2024-{1 + row % 4:02}-11", "seen": row % 3 == 0, "tags": ["a", "b"][: row % 3]}
        del one[list(one)[1 + row % 5]]
        rows.append(json.dumps(one))
    (folder / "metadata.jsonl").write_text("\n".join(rows))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A store and a kind of index, used for however few images."""
    store, index = request.param.split()
    monkeypatch.setattr(faiss_joint, "LARGEST_SHARE", 1)
    monkeypatch.setattr(rescored, "FEW", 0)
    return store_spec(store, request), index


def asked(collection: FolderCollection, seed: int, **options: Any) -> list[tuple[str, float]]:
    query = np.random.default_rng(seed).random(48).astype(np.float32)
    query /= np.linalg.norm(query)
    return collection.search(query, **{"tau": 0.15, "k": 7, **options})


def test_rankings_scores_and_filters_are_those_of_the_default_store(
    kind: tuple[str, str], pictures: Callable[..., Path], index: Any, tmp_path: Path
) -> None:
    folder, (store, built) = pictures(COUNT), kind
    (folder / "copy.png").write_bytes((folder / "0003.png").read_bytes())
    fields(folder)
    index(folder, tmp_path / "plain")
    report: IndexReport = index(folder, tmp_path / "other", store=store, index=built)
    assert report.built, "what was built is told"
    plain, other = (
        FolderCollection.open(tmp_path / "plain"),
        FolderCollection.open(tmp_path / "other", store=store),
    )
    assert manifest.read(tmp_path / "other").index == built
    assert manifest.read(tmp_path / "other").store == store.split(":")[0], (
        "no address, which may hold a password"
    )
    for seed, tau in enumerate((0.0, 0.15, 0.5, 1.0)):
        for options in (
            {},
            {"k": 1000},
            {"once": True, "exclude": ["0003.png", "0001.png"], "include": ["0010.png", "copy.png"]},
        ):
            assert asked(other, seed, tau=tau, **options) == asked(plain, seed, tau=tau, **options)
    for where in FILTERS:
        for once in (False, True):
            assert asked(other, 9, where=where, once=once) == asked(plain, 9, where=where, once=once), where


def test_a_filter_is_asked_of_the_database(
    kind: tuple[str, str], pictures: Callable[..., Path], index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, (store, built) = pictures(COUNT), kind
    fields(folder)
    index(folder, store=store, index=built)
    collection = FolderCollection.open(folder, store=store)
    if store == "faiss":
        pytest.skip("FAISS compares all rows that match, in this process")
    engine, given = collection._vectors._engine, []  # type: ignore[attr-defined]
    nearest = engine.nearest

    def watched(table: Any, query: Any, count: int, where: Any, *, exact: bool) -> Any:
        assert exact, "a search with a filter compares all rows where the engine can"
        found = nearest(table, query, count, where, exact=exact)
        given.append((where, set(found.rows.tolist())))
        return found

    monkeypatch.setattr(engine, "nearest", watched)
    for where in FILTERS[:-1]:
        given.clear()
        asked(collection, 1, where=where)
        matching = set(np.flatnonzero(collection.matching(where)).tolist())
        assert bool(given) == bool(matching) and all(
            told is not None and rows <= matching for told, rows in given
        ), where
    given.clear()
    asked(collection, 1, where=FILTERS[-1])
    assert given[0][0] is None, "a folder is no column of the database; what it gives is checked here"


def test_images_come_and_go_and_captions_of_searches_count_at_once(
    kind: tuple[str, str], pictures: Callable[..., Path], index: Any, draw: Callable[..., Path]
) -> None:
    folder, (store, built) = pictures(COUNT), kind
    index(folder, store=store, index=built, captions="lazy")
    collection = FolderCollection.open(folder, store=store)
    words = np.random.default_rng(5).random(48).astype(np.float32)
    words /= np.linalg.norm(words)
    key = collection.key("0007.png")
    assert "0007.png" in collection.uncaptioned
    collection.add_captions([FoundCaption(key=key, caption="a boat", words=words)])
    ((best, score),) = collection.search(words, 1.0, 1)
    assert best == "0007.png" and score == pytest.approx(1, abs=1e-5)
    draw(folder / "new.png", 999)
    (folder / "0001.png").unlink()
    report = index(folder, store=store)
    assert (report.new, report.removed) == (1, 1) and manifest.read(folder / ".imagescope").index == built
    again = FolderCollection.open(folder, store=store)
    found = {name for name, _ in asked(again, 3, k=1000)}
    assert "new.png" in found and "0001.png" not in found and len(found) == COUNT


def test_an_approximate_index_is_mapped_checked_and_as_good_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagescope_agent.lab.benchmarks.stores import run

    monkeypatch.setattr(faiss_files, "MAPPED_ABOVE", 1000)
    made = run(
        images=3000,
        dimension=32,
        queries=20,
        k=20,
        row=["faiss exact", "faiss hnsw", "faiss ivfpq", "faiss pq4", "faiss sq8"],
    )
    for name, row in made["rows"].items():
        assert row["recall"] >= (1.0 if name == "faiss exact" else 0.97), row
        assert name == "faiss exact" or "exact 100 best are found" in row["told"][0]


def test_auto_is_exact_for_few_and_approximate_for_many(
    pictures: Callable[..., Path], index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(COUNT)
    assert not index(folder).built and len(list(folder.rglob("*.faiss"))) == 2
    before = (folder / ".imagescope" / manifest.MANIFEST).read_bytes()
    assert b'"index"' not in before, "an index of before reads the same"
    monkeypatch.setattr(joint, "AUTO_EXACT", COUNT - 1)
    assert "pq4" in index(folder).built[0] and len(list(folder.rglob("*.faiss"))) == 3
    monkeypatch.setattr(joint, "AUTO_EXACT", COUNT)
    index(folder)
    assert (folder / ".imagescope" / manifest.MANIFEST).read_bytes() == before
    assert len(list(folder.rglob("*.faiss"))) == 2
    with pytest.raises(BadInput, match="there is no index 'flat'"):
        index(folder, index="flat")


def test_a_search_goes_on_when_the_database_was_killed(
    pgvector: Server, pictures: Callable[..., Path], index: Any
) -> None:
    folder, store = pictures(20), f"pgvector:{pgvector.database()}"
    index(folder, store=store)
    collection = FolderCollection.open(folder, store=store)
    found = asked(collection, 1)
    pgvector.kill()
    try:
        with pytest.raises(BackendUnavailable, match="PostgreSQL does not answer"):
            asked(collection, 1)
    finally:
        pgvector.start()
    assert asked(collection, 1) == found


def test_searches_ask_the_database_at_once_and_all_go_on_when_it_was_restarted(
    pgvector: Server, pictures: Callable[..., Path], index: Any
) -> None:
    folder, store = pictures(20), f"pgvector:{pgvector.database()}"
    index(folder, store=store)
    collection = FolderCollection.open(folder, store=store)
    found = asked(collection, 1)
    engine = collection._vectors._engine  # type: ignore[attr-defined]
    together = threading.Barrier(CONNECTIONS, timeout=60)

    def session(base: Any) -> int:
        together.wait()
        return int(base.info.backend_pid)

    with ThreadPoolExecutor(2 * CONNECTIONS) as pool:
        sessions = list(pool.map(lambda _: engine._ask(session), range(2 * CONNECTIONS)))
        assert len(set(sessions)) == CONNECTIONS, "they are used again, and there are no more"
        pgvector.kill()
        pgvector.start()
        assert list(pool.map(lambda _: asked(collection, 1), range(8))) == [found] * 8


def test_opening_an_index_of_postgresql_reads_no_vectors(
    pgvector: Server, pictures: Callable[..., Path], index: Any
) -> None:
    folder, store = pictures(50), f"pgvector:{pgvector.database()}"
    index(folder, store=store)
    engine = FolderCollection.open(folder, store=store)._vectors._engine  # type: ignore[attr-defined]
    visible = (
        "SELECT relpages, relallvisible FROM pg_class WHERE relname LIKE 'imagescope_%' AND relkind = 'r'"
    )
    ((pages, seen),) = engine._ask(lambda base: base.execute(visible).fetchall())
    assert pages == seen > 0, "a page that is visible to all need not be read to count its rows"


def test_a_connection_that_was_left_in_a_statement_is_not_used_again(
    pgvector: Server, pictures: Callable[..., Path], index: Any
) -> None:
    folder, store = pictures(5), f"pgvector:{pgvector.database()}"
    index(folder, store=store)
    engine = FolderCollection.open(folder, store=store)._vectors._engine  # type: ignore[attr-defined]

    def interrupted(base: Any) -> None:
        base.execute("begin")
        raise KeyboardInterrupt

    before = engine._ask(lambda base: base.info.backend_pid)
    with pytest.raises(KeyboardInterrupt):
        engine._ask(interrupted)
    assert engine._ask(lambda base: base.info.backend_pid) != before


def test_a_forked_process_leaves_the_connections_of_its_parent(
    pgvector: Server, pictures: Callable[..., Path], index: Any
) -> None:
    folder, store = pictures(5), f"pgvector:{pgvector.database()}"
    index(folder, store=store)
    engine = FolderCollection.open(folder, store=store)._vectors._engine  # type: ignore[attr-defined]

    def session() -> int:
        return int(engine._ask(lambda base: base.info.backend_pid))

    before = session()
    if not (child := os.fork()):
        code = 1
        try:
            code = int(session() == before)
            engine._close_idle()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert session() == before

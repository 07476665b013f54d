"""Indices that share a database, and what a database holds of one: nothing is lost, taken for another or left out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput, MissingExtra
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest, migration
from imagescope_agent.retrieval.index.cache import IndexBusy, IndexCache
from imagescope_agent.retrieval.index.migration import migrate
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace
from imagescope_agent.retrieval.spaces import put_space
from imagescope_agent.retrieval.stores import joint, open_store, pgvector_tables, postgres, rescored
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatBackend
from imagescope_agent.retrieval.stores.joint import JointBackend
from imagescope_agent.retrieval.stores.joint_rows import JointRows
from tests.engines import require_milvus, store_spec


@pytest.fixture(params=["milvus", "pgvector"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database beside no index."""
    spec = store_spec(request.param, request)
    return f"milvus:{tmp_path / 'shared.db'}" if spec == "milvus" else spec


def test_machines_with_one_path_and_copies_of_a_folder_remove_no_others_tables(
    shared: str, pictures: Callable[..., Path], index: Any, draw: Callable[..., Path], tmp_path: Path
) -> None:
    def all_of(place: Path) -> set[str]:
        return {
            name for name, _ in FolderCollection.open(place, store=shared).search([1.0] + [0.0] * 47, 0.1, 9)
        }

    here = pictures(5)
    index(here, store=shared)
    first = here.rename(tmp_path / "on another machine")
    shutil.copytree(first, tmp_path / "copy")
    pictures(4)
    index(here, store=shared)
    draw(tmp_path / "copy" / "new.png", 99)
    index(tmp_path / "copy", store=shared)
    assert [len(all_of(place)) for place in (first, here, tmp_path / "copy")] == [5, 4, 6]
    kept = [space.kept for space in manifest.read(here / ".imagescope").all_spaces]
    open_store(shared).tidy(here / ".imagescope", kept)
    assert len(all_of(here)) == 4
    open_store(shared).tidy(here / ".imagescope", [])
    with pytest.raises(Exception, match="is missing"):
        all_of(here)
    assert [len(all_of(place)) for place in (first, tmp_path / "copy")] == [5, 6]


def test_spaces_of_equal_vectors_are_two_tables(
    shared: str, pictures: Callable[..., Path], index: Any
) -> None:
    folder, rows = pictures(6), np.eye(6, 5, dtype=np.float32) + np.float32(0.1)
    index(folder)
    for name in ("a", "b"):
        put_space(folder, Space(name=name, dimension=5, weights="w"), lambda *_: iter([rows]))
    asked = [SpaceQuery(space=name, vector=rows[2], weight=0.5) for name in ("a", "b")]
    want = FolderCollection.open(folder).search_spaces(asked, 6)
    migrate(folder, shared)
    assert FolderCollection.open(folder, store=shared).search_spaces(asked, 6) == want
    put_space(folder, Space(name="c", dimension=5, weights="w"), lambda *_: iter([rows]), store=shared)
    assert FolderCollection.open(folder, store=shared).search_spaces(asked, 6) == want


def test_another_kind_of_index_is_another_table(
    shared: str, pictures: Callable[..., Path], index: Any
) -> None:
    folder, told = pictures(6), list[str]()
    index(folder, store=shared, index="exact")
    before = manifest.read(folder / ".imagescope").image_vectors
    migrate(folder, shared, store=shared, index="hnsw", tell=told.append)
    after = manifest.read(folder / ".imagescope").image_vectors
    assert (before["index"], after["index"]) == ("exact", "hnsw") and before["table"] != after["table"]
    assert len(FolderCollection.open(folder, store=shared).search([1.0] + [0.0] * 47, 0.1, 9)) == 6


def test_a_new_store_that_cannot_be_read_is_not_published(
    pictures: Callable[..., Path], index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(3)
    index(folder)
    before = {path.name: path.read_bytes() for path in (folder / ".imagescope").glob("*.*s*n")}

    class Unreadable(FaissFlatBackend):
        def open(self, location: Path, *_: Any) -> Any:
            raise manifest.damaged(location, "nothing of it can be read")

    monkeypatch.setattr(migration, "open_store", lambda _: Unreadable())
    with pytest.raises(BadInput, match="nothing of it can be read"):
        migrate(folder, "milvus")
    assert before == {path.name: path.read_bytes() for path in (folder / ".imagescope").glob("*.*s*n")}
    assert len(FolderCollection.open(folder).ids) == 3


def test_an_index_is_removed_from_its_old_store_while_indexers_are_kept_away(
    pictures: Callable[..., Path], index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_milvus()
    folder, seen = pictures(3), list[bool]()
    index(folder)
    tidy = FaissFlatBackend.tidy

    def watched(self: Any, location: Path, kept: Any) -> None:
        try:
            with IndexCache(location):
                seen.append(False)
        except IndexBusy:
            seen.append(True)
        tidy(self, location, kept)

    monkeypatch.setattr(FaissFlatBackend, "tidy", watched)
    migrate(folder, "milvus")
    assert seen and all(seen)


class Killed(Exception):
    """What stops a run here."""


def test_what_changed_since_a_run_was_stopped_is_moved_as_it_is_now(
    pictures: Callable[..., Path], index: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = pictures(9), store_spec("pgvector", request)
    years = [{"file_name": f"{row:04}.png", "number": row} for row in range(9) if row % 3 != 2]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, years)))
    index(folder)
    monkeypatch.setattr(pgvector_tables, "BATCH", 4)
    batches = JointRows.batches

    def stopped(self: JointRows, size: int) -> Any:
        yield next(batches(self, size))
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(JointRows, "batches", stopped)
        migrate(folder, store)
    changed = [{**each, "number": 100 + each["number"], "added": 1} for each in years]  # type: ignore[operator]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, changed)))
    index(folder)
    collection = FolderCollection.open(folder)
    wants = [
        collection.search([1.0] + [0.0] * 47, 0.1, 3, where=f"number >= {100 + row} and added = 1")
        for row in range(9)
    ]
    migrate(folder, store)
    monkeypatch.setattr(rescored, "FEW", 0)
    collection = FolderCollection.open(folder, store=store)
    found = [
        collection.search([1.0] + [0.0] * 47, 0.1, 3, where=f"number >= {100 + row} and added = 1")
        for row in range(9)
    ]
    assert found == wants


@pytest.mark.parametrize("built", ["exact", "hnsw"])
def test_a_database_that_gives_too_few_rows_at_once_leaves_none_out(
    shared: str, built: str, pictures: Callable[..., Path], index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, query = pictures(30), np.eye(48, dtype=np.float32)[7]
    index(folder, folder / "plain.index")
    index(folder, store=shared, index=built)
    plain, other = FolderCollection.open(folder / "plain.index"), FolderCollection.open(folder, store=shared)
    monkeypatch.setattr(rescored, "FEW", 0)
    monkeypatch.setattr(rescored, "CHUNK", 7)
    monkeypatch.setattr(other._vectors._engine, "most", 6)  # type: ignore[attr-defined]
    asked: list[dict[str, Any]] = [
        {"k": 9},
        {"k": 5, "where": "folder = 'sub'"},
        {"k": 30, "where": "folder = 'sub' or width = 1"},
        {"k": 3, "where": "name > '0004'", "exclude": ["0007.png"], "include": ["0001.png", "0009.png"]},
        {"k": 12, "where": "width > 1", "once": True},
    ]
    for options in asked:
        assert other.search(query, 0.2, **options) == plain.search(query, 0.2, **options), options


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        ("postgresql://u:secret@127.0.0.1/d?no_such_option=1", BadInput, "PostgreSQL refuses the vectors"),
        ("postgresql://u:secret@127.0.0.1:1/d", BackendUnavailable, "PostgreSQL does not answer"),
    ],
)
def test_what_fails_before_the_server_is_reached_is_told_in_a_line(
    place: str, error: type[Exception], told: str, tmp_path: Path
) -> None:
    pytest.importorskip("pgvector")
    pytest.importorskip("psycopg")
    space = Space(name="image", dimension=2, weights="w")
    with pytest.raises(error, match=told) as raised:
        open_store(f"pgvector:{place}").write(tmp_path, ["a"], space, [np.eye(1, 2, dtype=np.float32)])
    assert "secret" not in str(raised.value)


def test_a_connection_that_takes_too_long_is_a_server_that_does_not_answer() -> None:
    psycopg = pytest.importorskip("psycopg")
    with (
        pytest.raises(BackendUnavailable, match="does not answer: too late"),
        postgres.answering(),
    ):
        raise psycopg.errors.ConnectionTimeout("too late")


def test_without_the_extra_an_index_of_the_store_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"table": f"imagescope_{'0' * 12}_{'0' * 16}", "place": 0}
    space = StoredSpace(name="image", dimension=2, weights="w", kept=kept)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"imagescope-agent\[pgvector\]"):
        open_store("pgvector:postgresql://u@127.0.0.1:1/d").open(tmp_path, ["a"], [space])


def test_vectors_too_long_for_an_index_of_postgresql_are_compared_and_that_is_told(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, told = open_store(store_spec("pgvector", request)), list[str]()
    assert isinstance(backend, JointBackend)
    monkeypatch.setattr(joint, "AUTO_EXACT", 0)
    spaces = [Space(name=name, dimension=2001, weights="w") for name in ("image", "caption")]
    rows, ids = np.eye(3, 2001, dtype=np.float32), ["a", "b", "c"]
    with pytest.raises(BadInput, match="4002 numbers side by side"):
        backend.write_joint(tmp_path, ids, spaces, [[rows], [rows]], index="hnsw")
    kept = backend.write_joint(tmp_path, ids, spaces, [[rows], [rows]], tell=told.append)
    assert "compare all vectors" in told[0] and "index exact" in told[1]
    stored = [StoredSpace(**vars(space), kept=each) for space, each in zip(spaces, kept, strict=True)]
    asked = [SpaceQuery(space="caption", vector=rows[1], weight=1.0)]
    assert backend.open(tmp_path, ids, stored).search(asked, 1) == [("b", 1.0)]


def test_a_number_without_end_is_compared_here(
    shared: str, pictures: Callable[..., Path], index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, query = pictures(6), np.eye(48, dtype=np.float32)[7]
    index(folder, store=shared)
    collection = FolderCollection.open(folder, store=shared)
    monkeypatch.setattr(rescored, "FEW", 0)
    assert len(collection.search(query, 0.2, 9, where="width < 1e999")) == 6
    assert collection.search(query, 0.2, 9, where="width > 1e999 or width = 1e999") == []


def test_vectors_that_are_gone_are_told_as_such_when_an_index_is_moved(
    pictures: Callable[..., Path], index: Any
) -> None:
    folder = pictures(3)
    index(folder)
    gone = sorted((folder / ".imagescope").glob("image.*.faiss"))[0]
    gone.unlink()
    with pytest.raises(BadInput, match=rf"damaged: {gone.name} is missing"):
        migrate(folder, "milvus")


@pytest.mark.parametrize("store", ["milvus", "pgvector:postgresql://u@127.0.0.1:1/d"])
def test_an_index_that_a_database_does_not_build_is_refused_before_it_is_asked(
    store: str, tmp_path: Path
) -> None:
    space = Space(name="image", dimension=2, weights="w")
    rows = [np.eye(2, dtype=np.float32)]
    backend: Any = open_store(store)
    with pytest.raises(BadInput, match="builds no index 'sq8'"):
        backend.write_joint(tmp_path, ["a", "b"], [space], [rows], index="sq8")

"""An index moves from store to store: the same rankings, and the old one stays until the new one is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.manifest import Entry, Manifest
from imagescope_agent.retrieval.index.migration import migrate
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Space, SpaceQuery
from imagescope_agent.retrieval.spaces import put_space
from imagescope_agent.retrieval.stores import VARIABLE, store_to_use
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatBackend
from tests.engines import Server, require_milvus, store_spec

WHERE = "name > '0010' and width > 1"


def unit(seed: int, *shape: int) -> Any:
    rows = np.random.default_rng(seed).standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def rankings(folder: Path, store: str) -> list[Any]:
    """Searches of several kinds, with what else is known of the images."""
    collection = FolderCollection.open(folder, store=store)
    found: list[Any] = []
    for seed, tau in enumerate((0.0, 0.15, 1.0)):
        query = unit(seed, 48)
        found += [collection.search(query, tau, 9), collection.search(query, tau, 9, where=WHERE, once=True)]
        weighed = [SpaceQuery(space=IMAGE, vector=query, weight=0.6)]
        weighed.append(SpaceQuery(space="depth", vector=unit(seed, 5), weight=0.3))
        found.append(collection.search_spaces(weighed, 9, exclude=["0001.png"]))
    fields = [collection.fields.of(row) for row in range(len(collection))]
    return [
        found,
        dict(collection.captions),
        fields,
        [collection.image_vector(each).tolist() for each in collection.ids],
    ]


@pytest.fixture
def folder(pictures: Callable[..., Path], index: Any) -> Path:
    """An index with a further space."""
    place = pictures(30)
    index(place)
    put_space(
        place,
        Space(name="depth", dimension=5, weights="w"),
        lambda _, entries: iter([unit(7, len(entries), 5)]),
    )
    return place


def test_an_index_goes_round_all_stores(folder: Path, request: pytest.FixtureRequest) -> None:
    out = folder / ".imagescope"
    before, want = {path.name: path.read_bytes() for path in out.glob("*.faiss")}, rankings(folder, "faiss")
    kept = (out / manifest.MANIFEST).read_bytes()
    store = "faiss"
    for name in ("milvus", "pgvector", "faiss"):
        new = store_spec(name, request)
        done = migrate(folder, new, store=store)
        assert (done.after, done.images, done.spaces) == (name, 30, 3)
        assert rankings(folder, new) == want and bool(list(out.glob("*.faiss"))) == (name == "faiss")
        store = new
    assert {path.name: path.read_bytes() for path in out.glob("*.faiss")} == before
    assert (out / manifest.MANIFEST).read_bytes() == kept


def test_the_command_moves_an_index_and_the_next_run_of_the_indexer_stays_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_milvus()
    want = rankings(folder, "faiss")
    assert main(["migrate", str(folder), "--store", "milvus", "--index", "hnsw"]) == 0
    told = capsys.readouterr().out
    assert "30 images in 3 spaces moved from faiss to milvus" in told and VARIABLE in told
    with pytest.raises(BadInput, match=VARIABLE):
        FolderCollection.open(folder)
    monkeypatch.setenv(VARIABLE, "milvus")
    assert rankings(folder, "faiss") == want, "the environment names the store as a profile would"
    out = folder / ".imagescope"
    assert store_to_use(out, "faiss") == "milvus" and manifest.read(out).index == "hnsw"
    assert main(["migrate", str(folder), "--store", "milvus"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["migrate", str(folder), "--store", "pgvector"]) == 2
    assert "pgvector:postgresql://" in capsys.readouterr().err
    assert rankings(folder, "faiss") == want


def test_an_index_of_a_database_names_it_nowhere(
    folder: Path, pgvector: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pgvector.database()
    want = rankings(folder, "faiss")
    migrate(folder, f"pgvector:{url}")
    assert url not in (folder / ".imagescope" / manifest.MANIFEST).read_text()
    monkeypatch.setenv(VARIABLE, f"pgvector:{url}")
    assert rankings(folder, "faiss") == want
    monkeypatch.setenv(VARIABLE, f"pgvector:{pgvector.database()}")
    with pytest.raises(BadInput, match="is missing"):
        FolderCollection.open(folder)


COUNT = 12_000
DIES = """
import os, signal, sys
from pathlib import Path
from imagescope_agent.retrieval.index.migration import migrate
from imagescope_agent.retrieval.stores.joint_rows import JointRows

batches = JointRows.batches

def dying(self, size):
    for number, batch in enumerate(batches(self, size)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

JointRows.batches = dying
migrate(Path(sys.argv[1]), sys.argv[2])
"""


def large(place: Path) -> Path:
    """An index of made-up vectors, published as the indexer does."""
    place.mkdir()
    ids = [f"{row:06}.png" for row in range(COUNT)]
    backend, kept = FaissFlatBackend(), {}
    for number, name in enumerate((IMAGE, CAPTION)):
        kept[name] = backend.write(
            place, ids, Space(name=name, dimension=32, weights="w"), [unit(number, COUNT, 32)]
        )
    entries = tuple(Entry(id=name, key="ab" * 32, caption="words") for name in ids)
    about = {"folder": ".", "embedder": "w", "captioner": "", "dimension": 32, "skipped": ()}
    made = Manifest(image_vectors=kept[IMAGE], caption_vectors=kept[CAPTION], entries=entries, **about)  # type: ignore[arg-type]
    manifest.write(place, made)
    return place


@pytest.mark.parametrize("name", ["milvus", "pgvector"])
def test_killed_on_the_way_the_old_index_serves_and_the_next_run_goes_on(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store, place = store_spec(name, request), large(tmp_path / "index")
    query = unit(99, 32)
    want = FolderCollection.open(place).search(query, 0.15, 20)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(place), store], env=environment, capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (
        manifest.read(place).store == "faiss" and FolderCollection.open(place).search(query, 0.15, 20) == want
    )
    before = rows_there(store) if name == "pgvector" else 0
    done = migrate(place, store)
    assert (done.after, done.images) == (name, COUNT)
    assert FolderCollection.open(place, store=store).search(query, 0.15, 20) == want
    if name == "pgvector":
        assert 0 < before < COUNT and rows_there(store) == COUNT, "nothing is lost or doubled"


def rows_there(store: str) -> int:
    import psycopg

    with psycopg.connect(store.partition(":")[2]) as base:
        query = "SELECT tablename FROM pg_tables WHERE starts_with(tablename, 'imagescope_')"
        names = [name for (name,) in base.execute(query).fetchall()]
        return sum(base.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in names)

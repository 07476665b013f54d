"""Every vector store of the table, against plain products; and one from another package, used by its name alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoreBackend, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores import STORES, open_store
from tests.engines import store_spec
from tests.retrieval.test_foreign_stores import STRANGER

OLDER = Path(__file__).parents[1] / "older" / "index"

IDS = tuple(f"{row:03d}.png" for row in range(40))

SIZES = {"image": 8, "caption": 8, "depth": 3, "text-2": 700}


@pytest.fixture(params=[*sorted(STORES), "stranger"])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> StoreBackend:
    """Every store of the table, on its real engine, and one of another package."""
    if request.param == "stranger":
        place = tmp_path_factory.mktemp("package")
        (place / "stranger_of_the_contract.py").write_text(STRANGER)
        monkeypatch.syspath_prepend(place)
        return open_store("stranger_of_the_contract:open_backend:v1")
    return open_store(store_spec(request.param, request))


@pytest.fixture(params=sorted(STORES))
def ours(request: pytest.FixtureRequest) -> StoreBackend:
    """Every store of the table."""
    return open_store(store_spec(request.param, request))


@pytest.fixture
def files() -> StoreBackend:
    """The store whose files lie beside the manifest."""
    return open_store("faiss")


def unit(seed: int, rows: int, size: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).standard_normal((rows, size))
    made: np.ndarray = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    return made


def drawn(seed: int) -> dict[str, np.ndarray]:
    """Rows for every space; images 5, 11 and 30 are the same in all of them."""
    rows = {name: unit(seed + number, len(IDS), size) for number, (name, size) in enumerate(SIZES.items())}
    for matrix in rows.values():
        matrix[[11, 30]] = matrix[5]
    return rows


def written(backend: StoreBackend, place: Path, rows: dict[str, np.ndarray]) -> list[StoredSpace]:
    spaces = []
    for name, matrix in rows.items():
        space = Space(name=name, dimension=matrix.shape[1], weights="drawn")
        kept = backend.write(place, IDS, space, [matrix[:7], matrix[7:8], matrix[8:]])
        spaces.append(StoredSpace(**vars(space), kept=kept))
    return spaces


def ranked(queries: list[SpaceQuery], rows: dict[str, np.ndarray]) -> list[tuple[str, float]]:
    """Every id with its score, best first, by plain products."""
    scores = sum(each.weight * (rows[each.space].astype(float) @ each.vector) for each in queries)
    rounded = np.round(np.asarray(scores), 5)
    return [(IDS[row], rounded[row]) for row in np.lexsort((np.arange(len(IDS)), -rounded))]


@pytest.mark.parametrize("seed", range(5))
def test_a_search_is_exact_in_any_spaces(backend: StoreBackend, tmp_path: Path, seed: int) -> None:
    rows, rng = drawn(10 * seed), np.random.default_rng(seed)
    store = backend.open(tmp_path, IDS, written(backend, tmp_path, rows))
    assert isinstance(store, VectorStore)
    for names in (["image"], ["image", "caption"], list(SIZES), ["text-2", "depth"]):
        weights = rng.random(len(names))
        queries = [
            SpaceQuery(space=name, vector=unit(seed + 99, 1, SIZES[name])[0], weight=float(weight))
            for name, weight in zip(names, weights, strict=True)
        ]
        want = ranked(queries, rows)
        for k in (1, 7, 40, 10_000):
            found = store.search(queries, k)
            assert [name for name, _ in found] == [name for name, _ in want[:k]]
            np.testing.assert_allclose([s for _, s in found], [s for _, s in want[:k]], atol=2e-5)
        out, too = {IDS[0], want[0][0], want[5][0]}, {want[0][0], want[-1][0], want[-2][0], want[1][0]}
        left = [pair for pair in want if pair[0] not in out]
        found = store.search(queries, 3, exclude=out, include=too)
        last = [name for name, _ in left[3:] if name in too]
        assert [name for name, _ in found] == [name for name, _ in left[:3]] + last
        assert store.search(queries, 3, exclude=set(IDS), include=too) == []


def test_equal_vectors_tie_in_order_of_id(backend: StoreBackend, tmp_path: Path) -> None:
    rows = drawn(3)
    store = backend.open(tmp_path, IDS, written(backend, tmp_path, rows))
    for number in range(20):
        queries = [
            SpaceQuery(space=name, vector=unit(number, 1, SIZES[name])[0], weight=0.3) for name in SIZES
        ]
        found = store.search(queries, 40)
        same = [(name, score) for name, score in found if name in (IDS[5], IDS[11], IDS[30])]
        assert [name for name, _ in same] == [IDS[5], IDS[11], IDS[30]] and len({s for _, s in same}) == 1


def test_vectors_come_back_as_they_were_given(backend: StoreBackend, tmp_path: Path) -> None:
    rows = drawn(4)
    store = backend.open(tmp_path, IDS, written(backend, tmp_path, rows))
    for name, matrix in rows.items():
        np.testing.assert_array_equal([store.vector(name, each) for each in IDS], matrix)
    for space, name in (("nothing", IDS[0]), ("image", "nothing")):
        with pytest.raises(KeyError):
            store.vector(space, name)


def test_what_was_published_before_stays_until_it_is_tidied(backend: StoreBackend, tmp_path: Path) -> None:
    (tmp_path / "mine.faiss").write_text("a user's")
    before = written(backend, tmp_path, drawn(5))
    after = written(backend, tmp_path, drawn(6))
    assert written(backend, tmp_path, drawn(6)) == after, "the same vectors are kept the same"
    for spaces, seed in ((before, 5), (after, 6)):
        store = backend.open(tmp_path, IDS, spaces)
        np.testing.assert_array_equal(store.vector("depth", IDS[9]), drawn(seed)["depth"][9])
    backend.tidy(tmp_path, [space.kept for space in after])
    backend.open(tmp_path, IDS, after)
    with pytest.raises((FileNotFoundError, BadInput)):
        backend.open(tmp_path, IDS, before)
    backend.tidy(tmp_path, [])
    left = {path.name for path in tmp_path.iterdir()} - {
        "milvus.db"
    }  # the database itself, with nothing of ours
    assert left == {"mine.faiss"}


@pytest.mark.parametrize("damage", ["empty", "cut", "longer", "one bit", "noise", "gone"])
def test_damage_to_a_file_is_noticed(files: StoreBackend, tmp_path: Path, damage: str) -> None:
    spaces = written(files, tmp_path, {"image": drawn(7)["image"]})
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        bit = bytes([whole[-9] ^ 1])
        path.write_bytes(
            {
                "empty": b"",
                "cut": whole[: len(whole) // 2],
                "longer": whole + b"x",
                "one bit": whole[:-9] + bit + whole[-8:],
                "noise": np.random.default_rng(0).bytes(len(whole)),
                "gone": b"",
            }[damage]
        )
        if damage == "gone":
            path.unlink()
        with pytest.raises(FileNotFoundError if damage == "gone" else BadInput):
            files.open(tmp_path, IDS, spaces)
        path.write_bytes(whole)
    files.open(tmp_path, IDS, spaces)


def test_a_manifest_that_does_not_fit_the_vectors_is_noticed(ours: StoreBackend, tmp_path: Path) -> None:
    (space,) = written(ours, tmp_path, {"image": drawn(7)["image"]})
    for ids, size in ((IDS[:-1], 8), ((*IDS, "z.png"), 8), (IDS, 7), (IDS, 9), (IDS, 16)):
        with pytest.raises(BadInput, match="damaged"):
            ours.open(tmp_path, ids, [StoredSpace(name="image", dimension=size, weights="", kept=space.kept)])


@pytest.mark.parametrize(
    "kept",
    [{}, {"file": None}, {"file": 3, "sha256": "0"}, {"file": ["x"], "sha256": {}}, {"file": "../x.faiss"},
     {"file": "/etc/passwd", "sha256": ""}, {"file": "imagescope.json", "sha256": ""}],
)  # fmt: skip
def test_what_a_strangers_manifest_keeps_is_checked(
    ours: StoreBackend, tmp_path: Path, kept: dict[str, Any]
) -> None:
    (tmp_path / "imagescope.json").write_text("{}")
    with pytest.raises(BadInput, match="damaged"):
        ours.open(tmp_path, IDS, [StoredSpace(name="image", dimension=8, weights="", kept=kept)])


def test_an_index_of_the_default_store_and_spaces_names_neither(tmp_path: Path) -> None:
    content = manifest.read(OLDER)
    manifest.write(tmp_path, content)
    assert manifest.read(tmp_path) == content and content.store == "faiss" and content.spaces == ()
    keys = json.loads((tmp_path / manifest.MANIFEST).read_text())
    assert list(keys) == [
        "format", "folder", "embedder", "captioner", "dimension", "image_vectors", "caption_vectors", "entries",
        "skipped", "exclude", "checksum",
    ]  # fmt: skip

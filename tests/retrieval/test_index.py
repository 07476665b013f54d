from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.images import ImageProblem, LoadedImage
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import JOURNAL
from imagescope_agent.retrieval.protocols import Space
from imagescope_agent.retrieval.stores import open_store
from tests.retrieval.index_runs import cost, published


def test_an_indexed_folder(index: Any, pictures: Any, grey: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(40)
    (folder / "notes.txt").write_text("no picture")
    report = index(folder, batch=16, progress=True)
    assert (report.images, report.new, report.unchanged, report.removed) == (40, 40, 0, 0)
    assert [(s.id, s.reason) for s in report.skipped] == [("notes.txt", "not an image in a known format")]
    assert report.usage["calls"] == 40 and report.usage["role"] == "captioner"
    assert "40 images" in str(report) and "notes.txt" in str(report)
    captured = capsys.readouterr()
    assert captured.out == "" and "41/41" in captured.err
    collection = FolderCollection.open(folder)
    assert list(collection.ids) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    assert len(collection) == 40 and "0000.png" in collection and "notes.txt" not in collection
    name = "sub/0002.png"
    assert collection.path(name) == (folder / name).resolve()
    ref = collection.image_ref(name)
    assert ref.key == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert collection.caption(name) == collection.captions[name] == f"a picture called {ref.key[:8]}"
    assert Image.open(io.BytesIO(ref.data)).size == (32, 24)
    with Image.open(folder / name) as image:
        np.testing.assert_allclose(collection.image_vector(name), grey().images([image])[0], atol=1e-6)
    assert [s.id for s in collection.skipped] == ["notes.txt"]
    assert {p.name for p in (folder / ".imagescope").iterdir()} == set(published(folder / ".imagescope")) | {
        JOURNAL
    }


def test_nothing_is_done_twice(index: Any, pictures: Any, draw: Any) -> None:
    folder, out = pictures(10), pictures(10) / ".imagescope"
    index(folder)
    before = published(out)
    report = index(folder)
    assert cost(index) == (0, 0) and report.unchanged == 10 and published(out) == before
    for path in folder.rglob("*.png"):
        os.utime(path)
    assert index(folder).unchanged == 10 and cost(index) == (0, 0) and published(out) == before
    draw(folder / "0000.png", 500)
    draw(folder / "new.png", 501)
    (folder / "sub/0002.png").unlink()
    (folder / "0001.png").rename(folder / "moved.png")
    shutil.copy(folder / "0003.png", folder / "copy.png")
    report = index(folder)
    assert cost(index) == (2, 2)
    assert (report.new, report.copies, report.unchanged, report.removed) == (2, 2, 7, 2)
    collection = FolderCollection.open(folder)
    assert "0001.png" not in collection and "sub/0002.png" not in collection
    assert collection.caption("copy.png") == collection.caption("0003.png")
    # what an incremental run publishes is what a run from nothing would
    shutil.rmtree(out)
    assert list(collection.ids) == list((index(folder), FolderCollection.open(folder))[1].ids)
    np.testing.assert_allclose(
        FolderCollection.open(folder).image_vector("new.png"), collection.image_vector("new.png")
    )


def test_a_file_that_breaks_leaves_the_index_and_comes_back(index: Any, pictures: Any) -> None:
    folder = pictures(4)
    index(folder)
    whole = (folder / "0001.png").read_bytes()
    (folder / "0001.png").write_bytes(whole[:100])
    report = index(folder)
    assert report.images == 3 and report.removed == 1 and report.skipped[0].id == "0001.png"
    assert "0001.png" not in FolderCollection.open(folder)
    (folder / "0001.png").write_bytes(whole)
    assert index(folder).images == 4 and cost(index) == (1, 1)


def test_copies_cost_nothing_and_tie(index: Any, pictures: Any) -> None:
    folder = pictures(9)
    for number in range(40):
        shutil.copy(folder / "0000.png", folder / f"copy{number:02d}.png")
    index(folder, batch=4)
    assert cost(index) == (9, 9)
    collection = FolderCollection.open(folder)
    ranking = collection.search(collection.image_vector("0000.png"), 0.15, 41)
    assert len({score for _, score in ranking}) == 1
    assert [name for name, _ in ranking] == ["0000.png", *(f"copy{n:02d}.png" for n in range(40))]


def test_a_picture_without_caption_is_found_by_itself(index: Any, pictures: Any) -> None:
    folder = pictures(3)
    report = index(folder, reply=["one", "  \n ", "three"])
    assert [(n["kind"], "0001.png" in n["detail"]) for n in report.notes] == [("unreadable", True)]
    collection = FolderCollection.open(folder)
    vector = collection.image_vector("0001.png")
    assert dict(collection.search(vector, 1.0, 3))["0001.png"] == pytest.approx(1, abs=1e-6)


def test_other_weights_or_prompts_are_noticed(index: Any, pictures: Any, grey: Any) -> None:
    folder = pictures(5)
    index(folder)
    index(folder, embedder=grey("grey-2"))
    assert cost(index) == (5, 0), "captions are kept when only the embedder changed"
    with pytest.raises(BadInput, match=r"other embedding weights.*imagescope index"):
        FolderCollection.open(folder, weights="grey-1")
    assert FolderCollection.open(folder, weights="grey-2").embedder_weights == "grey-2"
    index(folder, embedder=grey("grey-2"), captioner_weights="script-2")
    assert cost(index)[1] == 5 and FolderCollection.open(folder).captioner_weights == "script-2"
    index(folder, embedder=grey("grey-2"), captioner_weights="script-2", prompt="What is it?")
    assert cost(index)[1] == 5


def test_the_index_may_lie_elsewhere(index: Any, pictures: Any, tmp_path: Path) -> None:
    folder, out = pictures(3), tmp_path / "elsewhere/index"
    index(folder, out)
    assert not (folder / ".imagescope").exists()
    assert FolderCollection.open(out).path("0000.png") == (folder / "0000.png").resolve()
    with pytest.raises(BadInput, match="imagescope index"):
        FolderCollection.open(folder)
    index(folder, folder / "visible")
    assert index(folder, folder / "visible").unchanged == 3
    folder.rename(tmp_path / "moved")
    moved = FolderCollection.open(tmp_path / "moved/visible")
    assert moved.image_ref("0000.png").data, "an index inside the folder moves with it"


def test_an_image_is_coded_once_until_its_file_may_have_changed(
    index: Any, pictures: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(2)
    index(folder)
    collection, coded = FolderCollection.open(folder), list[str]()
    code = LoadedImage.ref

    def ref(picture: LoadedImage) -> ImageRef:
        coded.append(picture.key)
        return code(picture)

    monkeypatch.setattr(LoadedImage, "ref", ref)
    first = collection.image_ref("0000.png")
    assert collection.image_ref("0000.png") is first and len(coded) == 1
    os.utime(folder / "0000.png")
    assert collection.image_ref("0000.png") == first and len(coded) == 2
    draw(folder / "0000.png", 99)
    with pytest.raises(ImageProblem, match="changed"):
        collection.image_ref("0000.png")


def test_files_that_changed_since_are_noticed(index: Any, pictures: Any, draw: Any, tmp_path: Path) -> None:
    folder = pictures(4)
    index(folder)
    collection = FolderCollection.open(folder)
    draw(folder / "0000.png", 99)
    (folder / "0001.png").unlink()
    (folder / "sub/0002.png").unlink()
    (folder / "sub/0002.png").symlink_to(draw(tmp_path / "secret.png", 2))
    for name, why in {"0000.png": "changed", "0001.png": "no longer", "sub/0002.png": "outside"}.items():
        with pytest.raises(ImageProblem, match=why):
            collection.image_ref(name)
    assert collection.image_ref("0003.png").data
    for unknown in ("../secret.png", "/etc/passwd", "0004.png", "", "sub", "sub/../0003.png", "a\0b"):
        with pytest.raises(BadInput, match="there is no image"):
            collection.path(unknown)
        with pytest.raises(BadInput, match="there is no image"):
            collection.caption(unknown)


def slow_search(
    images: np.ndarray, captions: np.ndarray, queries: np.ndarray, tau: float
) -> list[tuple[float, int]]:
    rows = []
    for row in range(len(images)):
        each = [(1 - tau) * float(q @ images[row]) + tau * float(q @ captions[row]) for q in queries]
        rows.append((-sum(each) / len(each), row))
    return sorted(rows)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    m=st.integers(1, 30),
    tau=st.floats(0, 1),
    k=st.integers(1, 60),
    left_out=st.sets(st.integers(0, 45), max_size=6),
)
def test_search_is_exact(
    tmp_path: Path, seed: int, n: int, m: int, tau: float, k: int, left_out: set[int]
) -> None:
    rng = np.random.default_rng(seed)

    def unit(rows: int) -> np.ndarray:
        matrix = rng.standard_normal((rows, 8))
        rows_: np.ndarray = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
        return rows_

    images, captions, queries = unit(n), unit(n), unit(m)
    images[n // 2], captions[n // 2] = images[0], captions[0]
    collection = opened(tmp_path, images, captions)
    out = [f"{row:03d}" for row in left_out]
    got = collection.search(queries, tau, k, exclude=out)
    want = [pair for pair in slow_search(images, captions, queries, tau) if pair[1] not in left_out]
    assert len(got) == min(k, len(want)) and np.isfinite([score for _, score in got]).all()
    np.testing.assert_allclose([s for _, s in got], [-s for s, _ in want[:k]], atol=1e-5)
    scores = dict(got)
    assert got == sorted(got, key=lambda pair: (-pair[1], pair[0]))
    if "000" in scores and f"{n // 2:03d}" in scores:
        assert scores["000"] == scores[f"{n // 2:03d}"]


def opened(place: Path, images: np.ndarray, captions: np.ndarray) -> FolderCollection:
    out = place / "index"
    out.mkdir(exist_ok=True)
    store, ids = open_store("faiss"), [f"{row:03d}" for row in range(len(images))]

    def written(name: str, rows: np.ndarray) -> dict[str, Any]:
        return store.write(out, ids, Space(name=name, dimension=rows.shape[1], weights="e"), [rows])

    content = manifest.Manifest(
        folder="..",
        embedder="e",
        captioner="c",
        dimension=images.shape[1],
        image_vectors=written("image", images),
        caption_vectors=written("caption", captions),
        entries=tuple(manifest.Entry(id=name, key="", caption="") for name in ids),
        skipped=(),
    )
    manifest.write(out, content)
    return FolderCollection.open(out)


def test_search_refuses_what_has_no_answer(tmp_path: Path) -> None:
    rows = np.eye(3, 8, dtype=np.float32)
    collection = opened(tmp_path, rows, rows)
    assert collection.search(np.zeros(8), 0.15, 9) == [("000", 0.0), ("001", 0.0), ("002", 0.0)]
    assert collection.search(rows[0], 0.5, 2, exclude=collection.ids) == []
    bad: list[tuple[Any, float, int]] = [
        (rows[0], 0.1, 0),
        (rows[0], 0.1, -1),
        (rows[0], -0.1, 1),
        (rows[0], 1.1, 1),
        (rows[0], float("nan"), 1),
        (np.full(8, np.nan), 0.1, 1),
        (np.full(8, np.inf), 0.1, 1),
        (np.ones(7), 0.1, 1),
        (np.zeros((0, 8)), 0.1, 1),
    ]
    for vector, tau, k in bad:
        with pytest.raises(BadInput):
            collection.search(vector, tau, k)

"""An approximate index in a FAISS file, which may be a stranger's, is checked before and after FAISS reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.stores import faiss_building, faiss_files, faiss_joint, faiss_marks

COUNT = 60


@pytest.mark.parametrize("built", ["hnsw", "ivfpq"])
def test_a_strangers_index_that_leads_outside_itself_is_refused(
    built: str, pictures: Callable[..., Path], index: Any
) -> None:
    folder = pictures(COUNT)
    index(folder, index=built)
    place = folder / ".imagescope"
    content = manifest.read(place)
    kept = content.image_vectors[faiss_joint.JOINT]
    library: Any = faiss
    changed = library.read_index(str(place / kept["file"]))
    if built == "hnsw":
        faiss_marks.array_of(changed.hnsw.neighbors, np.int32)[0] = 10**6
    else:
        full = next(number for number in range(changed.nlist) if changed.invlists.list_size(number))
        library.rev_swig_ptr(changed.invlists.get_ids(full), 1)[0] = 10**6
    kept |= faiss_files.write_index(place, "joint", changed)
    manifest.write(place, content)
    with pytest.raises(BadInput, match="damaged"):
        FolderCollection.open(folder)


@pytest.mark.parametrize("built", ["hnsw", "ivfpq"])
@pytest.mark.parametrize("mapped", [False, True])
def test_an_index_that_names_files_elsewhere_is_refused_before_any_is_opened(
    built: str, mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library: Any = faiss
    rows = np.random.default_rng(0).random((200, 8)).astype(np.float32)
    lists = library.IndexIVFFlat(faiss.IndexFlatIP(8), 8, 4, faiss.METRIC_INNER_PRODUCT)
    if built == "ivfpq":
        lists = library.IndexIVFPQ(faiss.IndexFlatIP(8), 8, 4, 2, 4, faiss.METRIC_INNER_PRODUCT)
    lists.train(rows)
    elsewhere = library.OnDiskInvertedLists(4, lists.code_size, str(tmp_path / "elsewhere"))
    lists.replace_invlists(elsewhere)
    lists.add(rows)
    whole = lists
    if built == "hnsw":
        whole = library.IndexHNSWSQ(8, library.ScalarQuantizer.QT_8bit, 24, faiss.METRIC_INNER_PRODUCT)
        whole.train(rows)
        whole.add(rows)
        data = faiss.serialize_index(whole).tobytes()
        data = data[: data.index(b"IxSQ")] + faiss.serialize_index(lists).tobytes()
    else:
        data = faiss.serialize_index(whole).tobytes()
    assert b"ilod" in data
    kept = faiss_files._write(tmp_path, "joint", [data])
    if mapped:
        monkeypatch.setattr(faiss_files, "MAPPED_ABOVE", 1000)
    monkeypatch.setattr(faiss_files, "_deserialized", lambda _: pytest.fail("FAISS has read it"))
    with pytest.raises(BadInput, match="another kind of index"):
        faiss_joint.read_built(tmp_path, {**kept, "effort": 8}, 200, 8)


@pytest.mark.parametrize("changed", ["codes", "kind"])
def test_a_strangers_quantized_vectors_are_of_the_size_that_is_read(changed: str, tmp_path: Path) -> None:
    library: Any = faiss
    bits = library.ScalarQuantizer.QT_4bit if changed == "kind" else library.ScalarQuantizer.QT_8bit
    index = library.IndexScalarQuantizer(8, bits, faiss.METRIC_INNER_PRODUCT)
    rows = np.random.default_rng(0).random((200, 8)).astype(np.float32)
    index.train(rows)
    index.add(rows)
    if changed == "codes":
        index.codes.resize(100)
    kept = faiss_files.write_index(tmp_path, "joint", index)
    with pytest.raises(BadInput, match="damaged"):
        faiss_joint.read_built(tmp_path, {**kept, "effort": 200}, 200, 8)


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("bbs", 64),
        ("qbs", 7),
        ("implem", 12),
        ("M2", 4),
        ("ntotal2", 10**6),
        ("codes", 32),
        ("centroids", 16),
    ],
)
def test_a_strangers_codes_of_4_bits_lie_in_the_blocks_that_are_read(
    changed: str, value: int, tmp_path: Path
) -> None:
    rows = np.random.default_rng(0).random((200, 8)).astype(np.float32)
    flat = faiss.IndexFlatIP(8)
    flat.add(rows)
    built = faiss_building.build("pq4", [flat])
    kept = faiss_joint.write_built(tmp_path, built)
    index, effort = faiss_joint.read_built(tmp_path, kept, 200, 8)
    assert len(faiss_joint.candidates(index, rows[0], 10, *effort)) == built.effort
    for count in (199, 201, 400):
        with pytest.raises(BadInput, match="damaged"):
            faiss_joint.read_built(tmp_path, kept, count, 8)
    if changed in ("codes", "centroids"):
        part: Any = index.codes if changed == "codes" else index.pq.centroids
        part.resize(value)
    else:
        setattr(index, changed, value)
    kept |= faiss_files.write_index(tmp_path, "joint", index)
    with pytest.raises(BadInput, match="damaged"):
        faiss_joint.read_built(tmp_path, kept, 200, 8)


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq", "pq4", "sq8"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_strangers_code_book_holds_numbers(kind: str, value: float, tmp_path: Path) -> None:
    flat, library = faiss.IndexFlatIP(8), cast(Any, faiss)
    flat.add(np.random.default_rng(0).random((200, 8)).astype(np.float32))
    built = faiss_building.build(kind, [flat])
    kept = faiss_joint.write_built(tmp_path, built)
    faiss_joint.read_built(tmp_path, kept, 200, 8)
    coded = library.downcast_index(built.index.storage) if kind == "hnsw" else built.index
    book = coded.sq.trained if kind in ("hnsw", "sq8") else coded.pq.centroids
    faiss_marks.array_of(book, np.float32)[3] = value
    kept |= faiss_files.write_index(tmp_path, "joint", built.index)
    with pytest.raises(BadInput, match="damaged"):
        faiss_joint.read_built(tmp_path, kept, 200, 8)


@pytest.mark.parametrize("kind", ["pq4", "sq8"])
def test_an_effort_of_nearly_nothing_still_looks_at_twice_what_is_wanted(kind: str) -> None:
    flat = faiss.IndexFlatIP(8)
    flat.add(rows := np.random.default_rng(0).random((3000, 8)).astype(np.float32))
    built = faiss_building.build(kind, [flat])
    for count in (1, 10, 100, 200):
        assert len(faiss_joint.candidates(built.index, rows[0], count, 1)) == 2 * count


@pytest.mark.parametrize("effort", [0, COUNT + 1, 10**18, "8", True, None])
def test_the_effort_of_a_strangers_index_has_a_bound(
    effort: Any, pictures: Callable[..., Path], index: Any
) -> None:
    folder = pictures(COUNT)
    index(folder, index="hnsw")
    content = manifest.read(folder / ".imagescope")
    content.image_vectors[faiss_joint.JOINT]["effort"] = effort
    manifest.write(folder / ".imagescope", content)
    with pytest.raises(BadInput, match="does not fit the manifest"):
        FolderCollection.open(folder)

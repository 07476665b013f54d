"""The effort of searches in an approximate index is what it needs, also where its codes are coarse."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from imagescope_agent.commands import index as commands
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace
from imagescope_agent.retrieval.stores import faiss_building, faiss_joint
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatBackend, FaissFlatStore
from imagescope_agent.retrieval.vectors import Vectors, mean_vector


def unit(rows: npt.NDArray[np.float64]) -> Vectors:
    made: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def flat_of(rows: Vectors) -> faiss.IndexFlatIP:
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    return flat


def stores(
    kind: str, **spaces: Vectors
) -> tuple[FaissFlatStore, faiss_joint.ApproximateStore, faiss_joint.Built]:
    """The exact and the approximate store of vectors by space, and what was built."""
    flats = {name: flat_of(rows) for name, rows in spaces.items()}
    built = faiss_building.build(kind, [*flats.values()])
    ids = [f"{row:05d}" for row in range(built.index.ntotal)]
    exact, sizes = FaissFlatStore(ids, flats), {name: flat.d for name, flat in flats.items()}
    effort = (built.effort, built.oversampled)
    rows = {name: row for row, name in enumerate(ids)}
    return exact, faiss_joint.ApproximateStore(rows, exact, built.index, sizes, effort), built


def test_more_candidates_mend_what_coarse_codes_of_ivfpq_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (faiss_building, "SUBVECTOR", 32),
        (faiss_joint, "LEAST", 10),
        (faiss_building, "LEAST", 10),
    ):
        monkeypatch.setattr(module, name, value)
    rows = np.random.default_rng(0).standard_normal((12_000, 32)).astype(np.float32)
    flat = faiss.IndexFlatIP(32)
    flat.add(rows)
    built = faiss_building.build("ivfpq", [flat])
    assert built.recall >= faiss_building.WANTED and built.oversampled > faiss_joint.OVERSAMPLED
    kept = faiss_joint.write_built(tmp_path, built)
    index, effort = faiss_joint.read_built(tmp_path, kept, len(rows), 32)
    assert effort == (built.effort, built.oversampled)
    assert len(faiss_joint.candidates(index, rows[0], 100, *effort)) == 100 * built.oversampled
    before = {name: value for name, value in kept.items() if name != "oversampled"}
    assert faiss_joint.read_built(tmp_path, before, len(rows), 32)[1] == (
        built.effort,
        faiss_joint.OVERSAMPLED,
    )
    for wrong in (0, 10**9, "8", None):
        with pytest.raises(BadInput, match="does not fit the manifest"):
            faiss_joint.read_built(tmp_path, {**kept, "oversampled": wrong}, len(rows), 32)


def test_hnsw_stops_where_the_last_misses_cost_more_than_comparing_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faiss_building, "MOST_EFFORT", 300)
    monkeypatch.setattr(faiss_building, "WANTED", 1.1)
    rows = unit(np.random.default_rng(0).standard_normal((3000, 64)))
    built = faiss_building.build("hnsw", [flat_of(rows)])
    assert built.effort == 300 and 0.9 < built.recall <= 1, "what it finds is told"


def test_codes_of_all_rows_are_given_as_many_candidates_as_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_building, "FAST_SUBVECTOR", 16)
    rows = np.random.default_rng(0).standard_normal((12_000, 32)).astype(np.float32)
    flat = faiss.IndexFlatIP(32)
    flat.add(rows)
    built = faiss_building.build("pq4", [flat])
    assert built.recall >= faiss_building.WANTED and faiss_joint.LEAST < built.effort < len(rows)
    for count, wanted in (
        (10, built.effort),
        (100, built.effort),
        (200, 2 * built.effort),
        (12_000, len(rows)),
    ):
        found = faiss_joint.candidates(built.index, rows[0], count, built.effort)
        assert len(found) == len(set(found.tolist())) == min(wanted, len(rows))


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq", "pq4", "sq8"])
@pytest.mark.parametrize("count", [1, 15, 17])
def test_an_index_of_a_handful_of_images_finds_them_all(kind: str, count: int) -> None:
    flat = faiss.IndexFlatIP(8)
    flat.add(np.random.default_rng(0).random((count, 8)).astype(np.float32))
    built = faiss_building.build(kind, [flat])
    found = faiss_joint.candidates(built.index, np.ones(8, dtype=np.float32), 10, built.effort)
    assert built.recall == 1 and sorted(found.tolist()) == list(range(count))


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq", "pq4", "sq8"])
def test_a_query_that_cancels_out_is_answered_as_the_exact_store_answers_it(kind: str) -> None:
    rows = unit(np.random.default_rng(0).standard_normal((3000, 32)))
    exact, store, _ = stores(kind, image=rows)
    asked = [SpaceQuery(space="image", vector=mean_vector([rows[0], -rows[0]], 32), weight=1.0)]
    assert not asked[0].vector.any()
    excluded = {f"{row:05d}" for row in range(5)}
    found = store.search(asked, 10, exclude=excluded)
    assert len(found) == 10 and not excluded & {name for name, _ in found}
    if kind == "pq4":
        assert found == exact.search(asked, 10, exclude=excluded)


@pytest.mark.parametrize(("kind", "copies"), [("hnsw", 4000), ("sq8", 3000)])
def test_any_copy_of_an_image_counts_as_found(kind: str, copies: int) -> None:
    rows = unit(np.random.default_rng(0).standard_normal((4000, 32)))
    rows[-copies:] = rows[-1]
    built = faiss_building.build(kind, [flat_of(rows)])
    assert built.recall >= faiss_building.WANTED and built.effort < 1500


@pytest.mark.parametrize("kind", ["ivfpq", "pq4", "sq8"])
def test_what_is_printed_holds_whatever_the_weight_of_captions(kind: str) -> None:
    """Captions that lie close together are told apart by codes less well than pictures are."""
    rng, count = np.random.default_rng(0), 8000
    middles = rng.standard_normal((20, 32))[rng.integers(20, size=count)]
    image, caption = (unit(middles + spread * rng.standard_normal((count, 32))) for spread in (0.8, 0.15))
    exact, store, built = stores(kind, image=image, caption=caption)
    assert built.recall >= faiss_building.WANTED
    for tau in (0.0, 0.15, 1.0):
        shares = []
        for vector in caption[:280:7]:
            asked = [SpaceQuery(space="image", vector=vector, weight=1 - tau)]
            asked += [SpaceQuery(space="caption", vector=vector, weight=tau)]
            best, found = ({name for name, _ in each.search(asked, 100)} for each in (exact, store))
            shares.append(len(best & found) / 100)
        assert np.mean(shares) >= faiss_building.WANTED - 0.01


@pytest.mark.parametrize("kind", ["ivfpq", "pq4", "sq8"])
@pytest.mark.parametrize("captioned", [0, 4000])
def test_images_without_captions_ask_for_no_more_effort(kind: str, captioned: int) -> None:
    rng = np.random.default_rng(0)
    image, caption = (unit(rng.standard_normal((8000, 32))) for _ in range(2))
    caption[captioned:] = 0
    _, store, built = stores(kind, image=image, caption=caption)
    assert built.recall >= faiss_building.WANTED and built.effort < len(image) / 2
    asked = [SpaceQuery(space="caption", vector=image[0], weight=1.0)]
    assert len(store.search(asked, 10)) == 10


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["auto", "hnsw", "ivfpq", "pq4", "sq8"])
def test_an_empty_collection_is_written_without_an_index_and_opens(kind: str, tmp_path: Path) -> None:
    space, told = Space(name="image", dimension=8, weights="w"), list[str]()
    kept = FaissFlatBackend().write_joint(tmp_path, [], [space], [[]], index=kind, tell=told.append)
    store = FaissFlatBackend().open(tmp_path, [], [StoredSpace(**vars(space), kept=kept[0])])
    query = SpaceQuery(space="image", vector=np.ones(8, dtype=np.float32), weight=1.0)
    assert store.search([query], 5) == [] and told == []


def test_the_command_offers_the_kinds_of_index_and_captions_that_there_are() -> None:
    """Said twice, so that `imagescope --help` loads neither."""
    assert commands.INDEX_KINDS == manifest.INDEX_KINDS and commands.CAPTIONS == manifest.CAPTIONS

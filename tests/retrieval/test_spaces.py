"""Further vector spaces of an indexed folder: made, searched, replaced, and kept in step with the folder."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.retrieval.index.cache import IndexBusy, IndexCache
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.retrieval.protocols import SpaceQuery
from imagescope_agent.retrieval.spaces import add_space
from tests.retrieval.crashes import published
from tests.security.strangers import rewritten


class Short:
    """Five numbers of an image, or of a text."""

    def __init__(self, weights: str = "short-1") -> None:
        self.weights, self.dimension, self.seen, self.told = weights, 5, 0, list[str]()

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.seen += len(images)
        return self._unit([np.asarray(image.convert("L").resize((5, 1))).ravel() for image in images])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        self.told += texts
        return self._unit([np.frombuffer(text.encode()[-5:].rjust(5), np.uint8) for text in texts])

    def _unit(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        matrix = np.asarray(rows, dtype=np.float64) + 1
        unit: np.ndarray = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
        return unit


@pytest.fixture
def index(grey: Any) -> Callable[..., IndexReport]:
    """Index a folder; about a quarter of the images get no caption."""

    def run(folder: Path, script: str = "script-1") -> IndexReport:
        captioner = Scripted(lambda asked: "" if asked.images[0] < "4" else f"{script} {asked.images[0][:8]}")
        work = build(folder, None, grey(), Role("captioner", captioner), "?", captioner_weights=script)
        return asyncio.run(work)

    return run


def vectors_of(collection: FolderCollection, embedder: Short, of: str) -> np.ndarray:
    """What the space should hold, one image at a time."""
    rows = []
    for name in collection.ids:
        caption = collection.caption(name)
        told = of == "captions" and caption
        rows.append(
            embedder.texts([caption])[0] if told else embedder.images([collection.picture(name).image])[0]
        )
    return np.array(rows)


@pytest.mark.parametrize("of", ["images", "captions"])
def test_an_added_space_is_searched_beside_the_others(
    index: Any, pictures: Any, of: Literal["images", "captions"]
) -> None:
    folder = pictures(40)
    shutil.copy(folder / "0003.png", folder / "zz-copy.png")
    index(folder)
    embedder = Short()
    made = add_space(folder, "short", embedder, of, batch=7)
    collection = FolderCollection.open(folder)
    assert (made.name, made.dimension, made.weights) == ("short", 5, "short-1")
    assert list(collection.spaces) == ["image", "caption", "short"]
    captions = {collection.caption(name) for name in collection.ids}
    assert "" in captions and len(captions) > 9
    assert embedder.seen + len(embedder.told) == 40, "equal contents are embedded once"
    assert bool(embedder.told) == (of == "captions")

    rows = vectors_of(collection, Short(), of)
    image, short = collection.image_vector("0000.png"), rows[7]
    queries = [
        SpaceQuery(space="image", vector=image, weight=0.4),
        SpaceQuery(space="short", vector=short, weight=0.6),
    ]
    images = np.array([collection.image_vector(name) for name in collection.ids])
    scores = 0.4 * (images @ image).astype(float) + 0.6 * (rows @ short).astype(float)
    found = collection.search_spaces(queries, 41)
    assert dict(found) == pytest.approx(dict(zip(collection.ids, scores, strict=True)), abs=1e-5)
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))
    best, worst = found[0][0], found[-1][0]
    some = collection.search_spaces(queries, 2, [best, "nothing"], [worst, best])
    assert some == [*found[1:3], found[-1]]
    once = {name for name, _ in collection.search_spaces(queries, 99, once=True)}
    assert once == set(collection.ids) - {"zz-copy.png"}


def test_a_search_is_two_spaces_weighted(index: Any, pictures: Any) -> None:
    folder = pictures(12)
    index(folder)
    collection = FolderCollection.open(folder)
    vector = collection.image_vector("0004.png")
    for tau in (0.0, 0.15, 1.0):
        pair = [
            SpaceQuery(space="image", vector=vector, weight=1 - tau),
            SpaceQuery(space="caption", vector=vector, weight=tau),
        ]
        assert collection.search(vector, tau, 5) == collection.search_spaces(pair, 5)


def test_the_default_spaces_stay_as_they_are(index: Any, pictures: Any) -> None:
    folder = pictures(9)
    index(folder)
    out = folder / ".imagescope"
    before = published(out)
    add_space(folder, "short", Short())
    after = published(out)
    (file,) = after.keys() - before.keys()
    assert file.startswith("short.") and before.keys() <= after.keys()
    add_space(folder, "short", Short())
    assert published(out) == after
    kept = json.loads(after["imagescope.json"])
    (space,) = kept.pop("spaces")
    assert {**kept, "checksum": ""} == {**json.loads(before["imagescope.json"]), "checksum": ""}
    assert space.keys() == {"name", "dimension", "weights", "kept"}


def test_a_space_is_replaced_and_another_kept(index: Any, pictures: Any) -> None:
    folder = pictures(5)
    index(folder)
    add_space(folder, "short", Short())
    add_space(folder, "told", Short(), "captions")
    add_space(folder, "short", Short("short-2"))
    collection = FolderCollection.open(folder)
    assert {name: space.weights for name, space in collection.spaces.items()} == {
        "image": "grey-1", "caption": "grey-1", "told": "short-1", "short": "short-2",
    }  # fmt: skip
    collection.require_weights("short-2", "short")
    with pytest.raises(BadInput, match=r"the space 'short' .*other embedding weights"):
        collection.require_weights("short-1", "short")
    with pytest.raises(BadInput, match="did you mean 'short'"):
        collection.require_weights("short-1", "shrot")


def test_indexing_again_keeps_a_space_of_the_same_images_only(index: Any, pictures: Any, draw: Any) -> None:
    folder = pictures(6)
    index(folder)
    add_space(folder, "short", Short())
    before = published(folder / ".imagescope")
    assert "short" not in str(index(folder)) and published(folder / ".imagescope") == before

    def more() -> IndexReport:
        draw(folder / "new.png", 99)
        return index(folder, "script-2")  # type: ignore[no-any-return]

    def fewer() -> IndexReport:
        (folder / "new.png").unlink()
        return index(folder, "script-2")  # type: ignore[no-any-return]

    for change in (lambda: index(folder, "script-2"), more, fewer):
        (note,) = [note for note in change().notes if note["step"] == "index"]
        assert "'short' is left out" in note["detail"] and "add it again" in note["detail"]
        assert list(FolderCollection.open(folder).spaces) == ["image", "caption"]
        assert not list((folder / ".imagescope").glob("short.*"))
        add_space(folder, "short", Short())


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_indexing_again_mends_an_index_with_a_damaged_space(index: Any, pictures: Any, damage: str) -> None:
    folder = pictures(6)
    index(folder)
    whole = published(folder / ".imagescope")
    add_space(folder, "short", Short())
    (file,) = (folder / ".imagescope").glob("short.*")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(BadInput, match="damaged"):
        FolderCollection.open(folder)
    assert "'short' is left out" in str(index(folder))
    assert published(folder / ".imagescope") == whole


@pytest.mark.parametrize("name", ["", "image", "caption", "Short", "../x", "a.b", "a" * 33, "1", "a\n"])
def test_a_name_that_cannot_be_is_refused(index: Any, pictures: Any, name: str) -> None:
    folder = pictures(2)
    index(folder)
    with pytest.raises(BadInput, match="cannot name a new space"):
        add_space(folder, name, Short())


def test_what_cannot_be_done_leaves_the_index_as_it_was(
    index: Any, pictures: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(40)
    with pytest.raises(BadInput, match="not indexed"):
        add_space(folder, "short", Short())
    index(folder)
    before = published(folder / ".imagescope")
    whole = (folder / "0039.png").read_bytes()
    draw(folder / "0039.png", 1000)
    with pytest.raises(ImageProblem, match="changed since it was indexed"):
        add_space(folder, "short", Short(), batch=8)
    (folder / "0039.png").unlink()
    with pytest.raises(ImageProblem):
        add_space(folder, "short", Short(), batch=8)
    (folder / "0039.png").write_bytes(whole)
    with pytest.raises(BadInput, match="not of 'sounds'"):
        add_space(folder, "short", Short(), "sounds")  # type: ignore[arg-type]
    with IndexCache(folder / ".imagescope"), pytest.raises(IndexBusy):
        add_space(folder, "short", Short())
    embedder = Short()
    embedder.dimension = 6
    with pytest.raises(BadInput, match="no vector of 6 numbers"):
        add_space(folder, "short", embedder)

    def failing(images: Any) -> Any:
        raise BackendUnavailable("gone")

    monkeypatch.setattr(embedder, "images", failing)
    with pytest.raises(BackendUnavailable):
        add_space(folder, "short", embedder)
    assert published(folder / ".imagescope") == before


def a_query(space: str = "short", size: int = 5, weight: float = 0.5, **changes: Any) -> SpaceQuery:
    vector = np.full(size, changes.get("value", 0.5), dtype=changes.get("dtype", np.float32))
    return SpaceQuery(space=space, vector=vector, weight=weight)


@pytest.mark.parametrize(
    ("queries", "k", "told"),
    [
        ([], 1, "at least one"), ([a_query()], 0, "at least one"), ([a_query(size=4)], 1, r"needs float32 \(5,\)"),
        ([a_query("image")], 1, r"needs float32 \(48,\)"), ([a_query("shrot")], 1, "did you mean 'short'"),
        ([a_query(weight=-0.1)], 1, "from 0 to 1"), ([a_query(weight=float("nan"))], 1, "from 0 to 1"),
        ([a_query(), a_query(value=np.inf)], 1, "not finite"), ([a_query(dtype=np.float64)], 1, "needs float32"),
    ],
)  # fmt: skip
def test_a_query_that_fits_no_space_is_refused(
    index: Any, pictures: Any, queries: list[SpaceQuery], k: int, told: str
) -> None:
    folder = pictures(2)
    index(folder)
    add_space(folder, "short", Short())
    with pytest.raises(BadInput, match=told):
        FolderCollection.open(folder).search_spaces(queries, k)


SPACE = {"name": "short", "dimension": 5, "weights": "w", "kept": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {"store": "os:system"}, {"store": "faiss:/etc"}, {"store": "subprocess:run:ls"}, {"store": 3},
        {"store": ""}, {"store": ["faiss"]}, {"spaces": [SPACE]}, {"spaces": 3}, {"spaces": [3]},
        {"spaces": [{**SPACE, "name": "image"}]}, {"spaces": [{**SPACE, "name": "../x"}]},
        {"spaces": [{**SPACE, "name": 3}]}, {"spaces": [{**SPACE, "name": []}]},
        {"spaces": [{**SPACE, "dimension": 0}]}, {"spaces": [{**SPACE, "dimension": "5"}]},
        {"spaces": [{**SPACE, "dimension": 10**9}]}, {"spaces": [{**SPACE, "weights": 3}]},
        {"spaces": [{**SPACE, "kept": "x"}]}, {"spaces": [SPACE, SPACE]}, {"spaces": [{**SPACE, "unknown": 1}]},
        {"spaces": [{**SPACE, "name": f"s{n}"} for n in range(99)]},
        {"spaces": [{**SPACE, "kept": {"file": "/etc/passwd", "sha256": ""}}]},
    ],
    ids=lambda each: str(each)[:50],
)  # fmt: skip
def test_stores_and_spaces_of_a_strangers_manifest_are_checked(world: Any, changes: dict[str, Any]) -> None:
    rewritten(world.collection.location, **changes)
    with pytest.raises(BadInput, match=r"damaged|for its user to choose") as caught:
        FolderCollection.open(world.folder)
    assert "\n" not in str(caught.value)

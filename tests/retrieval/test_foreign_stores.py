"""A vector store of another package is used where its user names it, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.protocols import SpaceQuery
from imagescope_agent.retrieval.spaces import add_space
from imagescope_agent.retrieval.stores import open_store
from imagescope_agent.services import open_services
from tests.scripted_profile import MEAN_COLOUR, scripted_profile

STRANGER = """
import numpy as np

OPENED = []

class Store:
    def __init__(self, ids, arrays):
        self.ids, self.arrays = list(ids), arrays
    def search(self, queries, k, *, exclude=frozenset(), include=frozenset()):
        scores = sum(query.weight * (self.arrays[query.space].astype(float) @ query.vector) for query in queries)
        ranked = sorted(zip(-scores, self.ids))
        ranked = [(name, -score) for score, name in ranked if name not in exclude]
        return ranked[:k] + [pair for pair in ranked[k:] if pair[0] in include]
    def vector(self, space, name):
        return self.arrays[space][{each: row for row, each in enumerate(self.ids)}[name]]

class Backend:
    def __init__(self, place):
        self.place = place
    def write(self, location, ids, space, vectors):
        array = np.concatenate(list(vectors))
        name = f"{space.name}-{abs(hash(array.tobytes()))}.{self.place}.npy"
        np.save(location / name, array)
        return {"array": name}
    def open(self, location, ids, spaces):
        OPENED.append(self.place)
        return Store(ids, {space.name: np.load(location / space.kept["array"]) for space in spaces})
    def tidy(self, location, kept):
        keep = {each["array"] for each in kept}
        for path in location.glob(f"*.{self.place}.npy"):
            if path.name not in keep:
                path.unlink()

def open_backend(place):
    return Backend(place)

def open_nothing(place):
    return place
"""


def own(store: str | None = None) -> str:
    """A profile that names this store, or none."""
    return scripted_profile("stranger_embedder_of_stores:open_model", store=store)


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "stranger_store.py").write_text(STRANGER)
    (tmp_path / "stranger_embedder_of_stores.py").write_text(MEAN_COLOUR)
    (tmp_path / "npy.toml").write_text(own("stranger_store:open_backend:v1"))
    (tmp_path / "faiss.toml").write_text(own("faiss"))
    (tmp_path / "plain.toml").write_text(own())
    (tmp_path / "photos").mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), name).save(tmp_path / "photos" / f"{name}.png")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in ("stranger_store", "stranger_embedder_of_stores"):
        sys.modules.pop(module, None)


def test_a_store_from_another_package_indexes_and_searches(stranger: Path) -> None:
    photos, profile = stranger / "photos", str(stranger / "npy.toml")
    index_folder(photos, profile=profile, progress=False)
    services = open_services(profile, photos)
    collection, embedder = services.collection, services.embedder
    assert type(collection._vectors).__module__ == "stranger_store"
    assert not list(photos.rglob("*.faiss")) and len(list(photos.rglob("*.v1.npy"))) == 2
    assert collection.search(embedder.texts(["something red"]), 0.0, 1)[0][0] == "red.png"

    store = load_profile(profile).store
    add_space(photos, "colour", embedder, store=store)
    Image.new("RGB", (32, 32), "white").save(photos / "white.png")
    notes = index_folder(photos, profile=profile, progress=False).notes
    (note,) = [note for note in notes if note["step"] == "index"]
    assert note["kind"] == "skipped" and "'colour' is left out" in note["detail"]
    add_space(photos, "colour", embedder, store=store)
    assert len(list(photos.rglob("*.v1.npy"))) == 3, "what no index names is removed"
    query = SpaceQuery(space="colour", vector=embedder.texts(["green"])[0], weight=1.0)
    assert FolderCollection.open(photos, store=store).search_spaces([query], 1)[0][0] == "green.png"


def test_an_index_goes_to_another_store(stranger: Path) -> None:
    photos = stranger / "photos"
    index_folder(photos, profile=str(stranger / "faiss.toml"), progress=False)
    default = {path.name: path.read_bytes() for path in photos.rglob("*.faiss")}
    services = open_services(str(stranger / "npy.toml"), photos)
    query = services.embedder.texts(["blue"])
    found = services.collection.search(query, 0.3, 3)
    report = index_folder(photos, profile=str(stranger / "npy.toml"), change_profile=True, progress=False)
    assert report.new == 0 and not list(photos.rglob("*.faiss"))
    again = open_services(str(stranger / "npy.toml"), photos).collection.search(query, 0.3, 3)
    assert [name for name, _ in again] == [name for name, _ in found]
    np.testing.assert_allclose([s for _, s in again], [s for _, s in found], atol=1e-6)
    index_folder(photos, profile=str(stranger / "plain.toml"), change_profile=True, progress=False)
    assert {path.name: path.read_bytes() for path in photos.rglob("*.faiss")} == default


def test_an_index_names_no_code_that_its_user_has_not_named(stranger: Path) -> None:
    photos = stranger / "photos"
    index_folder(photos, profile=str(stranger / "npy.toml"), progress=False)
    sys.modules.pop("stranger_store")
    content = manifest.read(photos / ".imagescope")
    assert content.store == "stranger_store:open_backend", "a place may hold a password"
    for store in ("faiss", "stranger_store:open_nothing:v1", "other_store:open_backend:v1"):
        with pytest.raises(BadInput, match="for its user to choose"):
            FolderCollection.open(photos, store=store)
    with pytest.raises(BadInput, match="for its user to choose"):
        open_services(str(stranger / "plain.toml"), photos)
    assert "stranger_store" not in sys.modules
    manifest.write(photos / ".imagescope", replace(content, store="stranger_store:open_backend:/theirs"))
    FolderCollection.open(photos, store="stranger_store:open_backend:v1")  # as earlier versions kept it
    assert sys.modules["stranger_store"].OPENED == ["v1"], "the place that the user has named, never another"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("fais", "did you mean 'faiss'"),
        ("", "there is no kind of store"),
        ("no_such_package_at_all:open_backend", "there is no kind of store"),
        ("stranger_store:nothing", "cannot load store"),
        ("stranger_store:open_nothing:v1", "which is no StoreBackend"),
    ],
)
def test_what_is_no_store_is_told(stranger: Path, spec: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        open_store(spec)
    (stranger / "bad.toml").write_text(own(spec))
    with pytest.raises(BadInput, match=told):
        index_folder(stranger / "photos", profile=str(stranger / "bad.toml"), progress=False)
    assert not (stranger / "photos" / ".imagescope").exists()

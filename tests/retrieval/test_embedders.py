"""Embedders by name: the table, and a package from outside that joins without a line here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.services import open_embedder_of
from tests.scripted_profile import MEAN_COLOUR, scripted_profile


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "stranger_embedder.py").write_text(MEAN_COLOUR)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("stranger_embedder", None)


def test_a_package_from_outside_indexes_and_searches(stranger: Path) -> None:
    photos = stranger / "photos"
    photos.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), name).save(photos / f"{name}.png")
    profile = stranger / "own.toml"
    profile.write_text(scripted_profile("stranger_embedder:open_model:v1"))
    index_folder(photos, profile=str(profile), progress=False)
    collection = FolderCollection.open(photos)
    embedder = open_embedder_of(load_profile(str(profile)))
    assert embedder.weights == collection.embedder_weights == "mean-colour v1"
    assert collection.search(embedder.texts(["something red"]), 0.0, 1)[0][0] == "red.png"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("open-clip:ViT-B-32", "did you mean 'open_clip'"),
        ("stranger_embedder:nothing", "cannot load embedder"),
        ("stranger_embedder:open_nothing:v1", "which is no Embedder"),
        ("no_such_package_at_all:open_model", "there is no kind of embedder"),
    ],
)
def test_what_is_no_embedder_is_told(stranger: Path, spec: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        open_embedder(spec)

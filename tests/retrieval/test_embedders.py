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

STRANGER = '''
import numpy as np

class Mean:
    """Mean colour of an image; texts name a colour."""
    dimension = 3
    def __init__(self, place, device):
        self.weights = f"mean-colour {place}"
    def images(self, images):
        return self._unit([np.asarray(image, dtype=np.float32).mean((0, 1)) + 1 for image in images])
    def texts(self, texts):
        return self._unit([[1 + 99 * (name in text) for name in ("red", "green", "blue")] for text in texts])
    def _unit(self, rows):
        rows = np.asarray(rows, dtype=np.float32).reshape(-1, 3)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

def open_model(place, *, device=None):
    return Mean(place, device)

def open_nothing(place, *, device=None):
    return place
'''
PROFILE = """
embedder = "stranger_embedder:open_model:v1"
[models.chat]
mllm = "scripted"
[roles]
captioner = "chat"
reasoner = "chat"
verifier = "chat"
judge = "chat"
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "stranger_embedder.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("stranger_embedder", None)


def test_a_package_from_outside_indexes_and_searches(stranger: Path) -> None:
    photos = stranger / "photos"
    photos.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), name).save(photos / f"{name}.png")
    profile = stranger / "own.toml"
    profile.write_text(PROFILE)
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

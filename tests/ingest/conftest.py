"""A small indexed folder of drawn scenes, and one-coloured pictures to put there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.retrieval.collection import FolderCollection

NAMES = [f"{number:06d}.png" for number in range(4)]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("drawn")
    make_world(place, 5, len(NAMES))
    index_folder(place / "images", progress=False)
    return place / "images"


@pytest.fixture
def folder(indexed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(indexed, tmp_path / "pictures")


def draw(file: Path, colour: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), colour).save(file)
    return file


def ids(folder: Path) -> list[str]:
    return list(FolderCollection.open(folder).ids)

"""A small indexed folder of drawn scenes, and one-coloured pictures to put there."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.retrieval.collection import FolderCollection
from tests.ingest.archives import PICTURES

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


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A bucket in memory: as an object store, but of this process."""
    fs = pytest.importorskip("fsspec", reason="pip install 'imagescope-agent[remote]'").filesystem("memory")
    for name, content in {**PICTURES, "notes.md": b"no picture"}.items():
        fs.pipe(f"/bucket/photos/{name}", content)
    yield fs
    fs.rm("/bucket", recursive=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server over a folder, and the folder."""
    root = tmp_path / "www"
    for name, content in PICTURES.items():
        (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "photos" / name).write_bytes(content)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", root
    server.shutdown()
    server.server_close()

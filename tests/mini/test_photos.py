"""Real photographs, which the shipped models were never shown: every one is indexed and ranked."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from imagescope_agent import ImageScope
from imagescope_agent.api import index_folder
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.services import open_embedder_of

SHARED = os.environ.get("IMAGESCOPE_SHARED")  # read before tests are shielded from such settings
PHOTOS = (Path(SHARED) if SHARED else Path(__file__).parents[2].parent / "shared") / "data" / "photos"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}: set IMAGESCOPE_SHARED"),
]


def test_every_photo_is_embedded_and_ranked(tmp_path: Path) -> None:
    embedder = open_embedder_of(load_profile("mini"))
    captioner = Role("captioner", Scripted(lambda asked: f"photo {asked.images[0][:8]}"))
    work = build(PHOTOS, tmp_path / "index", embedder, captioner, "?", captioner_weights="x", progress=False)
    report = asyncio.run(work)
    names = {path.name for path in PHOTOS.glob("*.jpg")}
    assert report.images == len(names) and not report.skipped
    collection = FolderCollection.open(tmp_path / "index")
    found = collection.search(embedder.texts(["two people beside a table"]), 0.15, len(names))
    assert {name for name, _ in found} == names and len(found) == len(names)
    assert all(max(collection.picture(name).image.size) <= 1024 for name, _ in found[:10])


def test_some_photos_through_every_step(tmp_path: Path) -> None:
    names = sorted(path.name for path in PHOTOS.glob("*.jpg"))[:5]
    for name in names:
        (tmp_path / "photos").mkdir(exist_ok=True)
        shutil.copy(PHOTOS / name, tmp_path / "photos" / name)
    assert index_folder(tmp_path / "photos", profile="mini", progress=False).images == len(names)
    scope = ImageScope.open(tmp_path / "photos")
    for reference in (None, names[2]):
        result = scope.search("the same with a red boat", image=reference, k=len(names))
        assert sorted(hit.id for hit in result) == [name for name in names if name != reference]
        verified = [hit.scores["verify"] is not None for hit in result]
        told = any(note["step"] in ("understand", "predicates") for note in result.notes)
        assert all(verified) or (told and not any(verified))

"""The profile for photos, offline: what it finds of real photos, and that the other graphs never fall below it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.retrieval.index import manifest

SHARED = os.environ.get("IMAGESCOPE_SHARED")  # read before tests are shielded from such settings
PHOTOS = (Path(SHARED) if SHARED else Path(__file__).parents[2].parent / "shared") / "data" / "photos"
pytestmark = pytest.mark.slow


def test_pictures_are_found_without_a_chat_model(tmp_path: Path) -> None:
    """A stand-in for photos: skies, meadows and noise, which their names tell apart."""
    rng, folder = np.random.default_rng(0), tmp_path / "pictures"
    folder.mkdir()
    for name, colour in {"sky": (90, 150, 235), "meadow": (60, 150, 50), "desert": (215, 180, 120)}.items():
        shade = np.linspace(0.8, 1.2, 240)[:, None, None] * np.array(colour)
        pixels = np.clip(shade + rng.normal(0, 9, (240, 320, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")
    report = index_folder(folder, profile="photos", progress=False)
    assert report.images == 3 and not [each for each in report.notes if each["step"] == "caption"]
    assert {entry.caption for entry in manifest.read(folder / ".imagescope").entries} == {""}
    plain = ImageScope.open(folder)
    assert plain.graph == "retrieve"
    ranking = [hit.id for hit in plain.search("a clear blue sky")]
    for graph in ("imagescope", "adaptive", "cotrr"):
        found = ImageScope.open(folder, graph=graph).search("a clear blue sky")
        assert [hit.id for hit in found] == ranking, "no chat model, so nothing may change the ranking"
        assert {note["kind"] for note in found.notes} <= {"outside", "fallback", "refused", "tie"}


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}: set IMAGESCOPE_SHARED")
def test_photos_that_the_head_never_saw_are_found(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (PHOTOS / "metadata.jsonl").read_text().splitlines()][::3]
    for row in rows:
        shutil.copy(PHOTOS / row["file_name"], tmp_path)
    assert not index_folder(tmp_path, profile="photos", progress=False).notes
    scope = ImageScope.open(tmp_path, runs=False, traces=False)
    ranks = []
    for row in rows:
        found = [hit.id for hit in scope.search(row["captions"][0], k=len(rows))]
        ranks.append(found.index(row["file_name"]))
    share = {k: sum(rank < k for rank in ranks) / len(ranks) for k in (1, 10)}
    assert len(rows) == 53 and share[1] >= 0.35 and share[10] >= 0.85, share  # chance: 0.02 and 0.19

"""Indexing by a profile looks through the folder once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.retrieval import image_files, images
from tests.scripted_profile import MEAN_COLOUR, scripted_profile


def test_a_folder_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seen_once_colours.py").write_text(MEAN_COLOUR)
    monkeypatch.syspath_prepend(tmp_path)
    own = tmp_path / "own.toml"
    own.write_text(scripted_profile("seen_once_colours:open_model", reply="a square"))
    (folder := tmp_path / "pictures").mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (20, 20), colour).save(folder / f"{colour}.png")
    scan, seen = images.scan, []

    def watched(*given: Any, **options: Any) -> Any:
        seen.append(options["exclude"])
        return scan(*given, **options)

    monkeypatch.setattr(image_files, "scan", watched)
    assert index_folder(folder, profile=str(own), exclude=["b*"], progress=False).new == 2
    assert index_folder(folder, profile=str(own), progress=False).unchanged == 2
    assert seen == [["b*"], ("b*",)]

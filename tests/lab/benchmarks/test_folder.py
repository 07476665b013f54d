"""The bench of a reader's own folder, at a tiny size: what it measures, never how long it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks import folder
from imagescope_agent.lab.scenes.make import make_world


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--folder"):
        folder.run(folder=tmp_path)


@pytest.mark.slow
def test_both_ways_are_measured_cold_and_warm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_world(tmp_path, 3, 12)
    pictures = tmp_path / "images"
    arguments = ["--folder", str(pictures), "--profile", "mini", "--images", "8", "--searches", "2"]
    assert main(["bench", "folder", *arguments, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["images"] == 8 and set(made["rows"]) == {"index", "cold search", "warm search"}
    for ways in made["rows"].values():
        assert set(ways) == {"imagescope", "bare"} and all(way["cpu_s"] > 0 for way in ways.values())
    assert made["rows"]["index"]["imagescope"]["peak_mb"] > 50
    assert not (pictures / ".imagescope").exists(), "the reader's folder is left as it was"
    assert folder.describe(made).count("| bare ") == 3

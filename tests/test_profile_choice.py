"""Which profile indexes a folder: what made its index, else what knows such pictures; another one needs a word."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent import cli, services
from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.services import profile_of
from tests.test_api_refusals import write_profile

pytestmark = pytest.mark.slow


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Six drawn scenes."""
    make_world(tmp_path / "world", 5, 6)
    return tmp_path / "world" / "images"


def made_by(folder: Path) -> str:
    return manifest.read(folder / ".imagescope").profile


def test_drawn_scenes_are_indexed_by_mini(drawn: Path) -> None:
    index_folder(drawn, progress=False)
    assert made_by(drawn) == "mini" == profile_of(drawn)


def test_pictures_that_nothing_knows_are_indexed_by_mini_and_a_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise MissingExtra("not installed")

    # what an earlier test opened is not used
    monkeypatch.setattr("imagescope_agent.services._embedder", cache(services._embedder.__wrapped__))
    monkeypatch.setattr("imagescope_agent.retrieval.embedders.assembled.open_model", missing)
    for number in range(3):
        Image.effect_mandelbrot((200, 150), (-2 - number / 9, -1, 1, 1), 40).convert("RGB").save(
            tmp_path / f"{number}.png"
        )
    assert cli.main(["index", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert made_by(tmp_path) == "mini" and "for photos use --profile photos" in said.out
    assert "Loading weights" not in said.err
    result = ImageScope.open(tmp_path, graph="retrieve").search("a guy on a surfboard")
    assert [note["kind"] for note in result.notes] == ["outside", "outside"]


def test_another_profile_than_made_the_index_needs_a_word(drawn: Path, tmp_path: Path) -> None:
    own = write_profile(tmp_path / "own.toml", embedder='embedder = "package:mini/clip"')
    index_folder(drawn, profile="mini", progress=False)
    before = manifest.read(drawn / ".imagescope")
    with pytest.raises(BadInput, match=r"made with the profile 'mini'.*--change-profile"):
        index_folder(drawn, profile=str(own), progress=False)
    assert manifest.read(drawn / ".imagescope") == before
    index_folder(drawn, profile=str(own), change_profile=True, progress=False)
    assert made_by(drawn) == "own.toml"
    with pytest.raises(BadInput, match="needs your own --profile"):
        index_folder(drawn, progress=False)
    assert index_folder(drawn, profile=str(own), progress=False).unchanged == 6

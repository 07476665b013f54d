"""What is no picture of the user's is left out; what else is to be left out is said in patterns."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.images import scan
from tests.scripted_profile import scripted_profile

KNOWN = (
    "@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg", "#recycle/a.jpg", "lost+found/a.jpg", ".thumbnails/a.jpg", ".Trash-1000/a.jpg",
    "$RECYCLE.BIN/a.jpg", "__MACOSX/._a.jpg", "sub/@EADIR/a.jpg", "sub/._b.jpg", "sub/Thumbs.db", ".DS_Store",
    "System Volume Information/a.jpg", "@Recycle/a.jpg", "desktop.ini",
)  # fmt: skip


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def ids(folder: Path, *exclude: str) -> list[str]:
    found, skipped = scan(folder, exclude=exclude)
    assert skipped == []
    return [item.id for item in found]


def test_thumbnails_and_trash_are_left_out(tmp_path: Path) -> None:
    files(tmp_path, *KNOWN, "a.jpg", "sub/b.jpg", "found/recycle/c.jpg")
    assert ids(tmp_path) == ["a.jpg", "found/recycle/c.jpg", "sub/b.jpg"]
    assert ids(files(tmp_path / "inner/@eaDir", "x.jpg")) == ["x.jpg"]  # who names it wants it


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (("*.gif",), ["a/b/c.png", "a/c.png", "raw", "x.png"]),
        (("raw",), ["a/b/c.png", "a/c.gif", "a/c.png", "x.png"]),
        (("raw/",), ["a/b/c.png", "a/c.gif", "a/c.png", "raw", "x.png"]),
        (("b/",), ["a/c.gif", "a/c.png", "raw", "x.png"]),
        (("a/*.png",), ["a/b/c.png", "a/c.gif", "raw", "x.png"]),
        (("/c.png", "/x.png"), ["a/b/c.png", "a/c.gif", "a/c.png", "raw"]),
        (("a/**/c.png",), ["a/c.gif", "raw", "x.png"]),
        (("**/b",), ["a/c.gif", "a/c.png", "raw", "x.png"]),
        (("a/**",), ["raw", "x.png"]),
        (("[xy].p?g", "a"), ["raw"]),
        (("", "  "), ["a/b/c.png", "a/c.gif", "a/c.png", "raw", "x.png"]),
    ],
)
def test_patterns(tmp_path: Path, patterns: tuple[str, ...], left: list[str]) -> None:
    files(tmp_path, "a/b/c.png", "a/c.gif", "a/c.png", "raw", "x.png")
    assert ids(tmp_path, *patterns) == left


def test_a_pattern_in_another_unicode_form(tmp_path: Path) -> None:
    files(tmp_path, unicodedata.normalize("NFD", "café.png"), "tea.png")
    assert ids(tmp_path, unicodedata.normalize("NFC", "café*")) == ["tea.png"]


@pytest.mark.parametrize("pattern", ["!keep.png", "x" * 600])
def test_unusable_patterns(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(BadInput, match="give a pattern such as"):
        scan(tmp_path, exclude=[pattern])


def test_patterns_with_many_stars_take_no_time(tmp_path: Path) -> None:
    files(tmp_path, "a" * 250)
    assert len(ids(tmp_path, "*a" * 100 + "b", "**/" * 100 + "b")) == 1


def test_the_index_keeps_the_patterns(
    tmp_path: Path, clip_folder: Path, draw: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, folder = tmp_path / "fake.toml", tmp_path / "folder"
    profile.write_text(scripted_profile(clip_folder))
    for number, name in enumerate(("a.png", "b.png", "old/c.png", "old/d.png")):
        draw(folder / name, number)

    def indexed(*words: str) -> list[str]:
        assert cli.main(["index", str(folder), "--profile", str(profile), *words]) == 0
        return list(FolderCollection.open(folder).ids)

    assert indexed("--exclude", "old/", "--exclude", "b.*") == ["a.png"]
    assert indexed() == ["a.png"]
    assert indexed("--exclude", "a.*") == ["b.png", "old/c.png", "old/d.png"]
    assert indexed("--exclude", "") == ["a.png", "b.png", "old/c.png", "old/d.png"] == indexed()
    capsys.readouterr()
    assert cli.main(["index", str(folder), "--profile", str(profile), "--exclude", "*"]) == 2
    assert "there is no image in" in capsys.readouterr().err
    assert indexed() == ["a.png", "b.png", "old/c.png", "old/d.png"]


def test_folders_that_repeat_take_no_time(tmp_path: Path) -> None:
    deep = "a/" * 60
    files(tmp_path, f"{deep}x.png")
    pattern = "a/" + "**/a/" * 40
    assert ids(tmp_path, pattern + "b", "**/" + "*/**/" * 60 + "y") == [f"{deep}x.png"]
    assert ids(tmp_path, "/" + "**/a/" * 40 + "**/x.png") == []


def test_more_patterns_than_anybody_needs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too many"):
        scan(tmp_path, exclude=["x"] * 100_000)

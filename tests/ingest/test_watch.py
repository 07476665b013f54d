"""A watching process: pictures that are written, moved, changed and deleted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError
from imagescope_agent.ingest import watch
from imagescope_agent.ingest.watch import differences
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from tests.ingest.conftest import NAMES, draw

pytest.importorskip("watchdog", reason="pip install 'imagescope-agent[watch]'")


@pytest.fixture
def watching(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "imagescope_agent.cli", "index", str(folder), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(process, f"{len(NAMES)} images indexed")
    yield process
    process.kill()
    process.communicate()


def until(process: subprocess.Popen[str], beginning: str) -> list[str]:
    """The lines up to one that begins so."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(beginning):
            return lines
    raise AssertionError(lines)


@pytest.mark.slow
def test_the_index_follows_the_folder(watching: subprocess.Popen[str], folder: Path) -> None:
    draw(folder / "sub" / "new.png", "red")
    until(watching, "+ sub/new.png")
    assert "sub/new.png" in FolderCollection.open(folder)
    (folder / "sub").rename(folder / "moved")
    until(watching, "sub/new.png -> moved/new.png")
    draw(folder / "moved" / "new.png", "blue")
    until(watching, "~ moved/new.png")
    shutil.rmtree(folder / "moved")
    until(watching, "- moved/new.png")
    (folder / "notes.txt").write_text("no picture")
    until(watching, f"{len(NAMES)} images indexed")
    assert list(FolderCollection.open(folder).ids) == NAMES
    lines = write_slowly(watching, folder, draw(folder / ".drawn.png", "red").read_bytes())
    assert [line for line in lines if "slow.png" in line] == ["+ slow.png"]  # never seen cut off
    for name in [*NAMES, "slow.png"]:
        (folder / name).unlink()
    until(watching, "not indexed: there is no image")
    assert len(FolderCollection.open(folder)) == 1 + len(NAMES)  # the index of before stays
    draw(folder / "first.png", "red")
    until(watching, "slow.png -> first.png")
    watching.terminate()
    assert "stopped" in watching.communicate(timeout=600)[0]
    assert watching.returncode == 0


def write_slowly(watching: subprocess.Popen[str], folder: Path, whole: bytes) -> list[str]:
    """The lines that the watch tells of a file that is written little by little, longer than it looks around."""
    with (folder / "slow.png").open("wb") as file:
        for start in range(0, len(whole), len(whole) // 8):
            file.write(whole[start : start + len(whole) // 8])
            file.flush()
            time.sleep(watch.SETTLE / 5)
    return until(watching, "+ slow.png")


def test_a_folder_that_is_gone_ends_the_watch(watching: subprocess.Popen[str], folder: Path) -> None:
    shutil.rmtree(folder)
    assert watching.wait(600) == 2
    assert "is gone" in watching.communicate()[1]


def test_a_folder_that_goes_while_it_is_indexed_is_told_as_gone(folder: Path) -> None:
    told = list[str]()
    with pytest.raises(BadInput, match="is gone; watch it again"):
        next(watch.watch(folder, None, lambda: shutil.rmtree(folder), told.append))
    assert told == []


def test_a_damaged_index_of_a_folder_that_is_there_is_told_as_damaged(folder: Path) -> None:
    def damage() -> None:
        (folder / manifest.FOLDER_INDEX / manifest.MANIFEST).write_text("{")

    with pytest.raises(ImageScopeError, match="damaged"):
        next(watch.watch(folder, None, damage, list[str]().append))


def test_differences_are_told_a_line_each() -> None:
    before = {"a": "1", "b": "2", "c": "3", "copy": "1"}
    assert differences(before, {"a": "9", "d": "2", "e": "5", "copy": "1"}) == [
        "~ a", "b -> d", "- c", "+ e",
    ]  # fmt: skip
    assert differences(before, before) == []


def test_a_failed_update_is_tried_again_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE", 0)
    told, tries = list[str](), list[int]()

    def update() -> None:
        tries.append(1)
        raise BackendUnavailable("no answer") if len(tries) < 3 else BadInput("nothing there")

    assert watch._updated(update, told.append) is False
    assert told == ["not indexed yet: no answer"] * 2 + ["not indexed: nothing there"]
    tries.clear()

    def never() -> None:
        tries.append(1)
        raise BackendUnavailable("no answer")

    assert watch._updated(never, told.append) is False and len(tries) == watch.ATTEMPTS

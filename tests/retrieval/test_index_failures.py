"""A folder that is gone, a model that fails, a damaged index, a full disk: said, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.scripted import Asked
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index.cache import JOURNAL, IndexBusy, IndexCache
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatBackend
from tests.retrieval.index_runs import cost, published


def test_no_folder_or_no_picture_leaves_nothing_behind(index: Any, tmp_path: Path) -> None:
    empty, texts = tmp_path / "empty", tmp_path / "texts"
    empty.mkdir()
    texts.mkdir()
    (texts / "a.png").write_text("no picture")
    for folder in (tmp_path / "missing", tmp_path / ("long" * 999), empty, texts):
        with pytest.raises(BadInput) as caught:
            index(folder)
        assert "\n" not in str(caught.value) and not os.path.exists(folder / ".imagescope")
    with pytest.raises(BadInput, match="imagescope index"):
        FolderCollection.open(tmp_path / "missing")
    with pytest.raises(BadInput, match="imagescope index"):
        FolderCollection.open(empty)
    with pytest.raises(BadInput, match="too long"):
        FolderCollection.open(tmp_path / ("long" * 999))


def test_an_index_is_kept_when_every_picture_is_gone(index: Any, pictures: Any) -> None:
    folder = pictures(3)
    index(folder)
    before = published(folder / ".imagescope")
    for path in folder.rglob("*.png"):
        path.unlink()
    with pytest.raises(BadInput, match="no image"):
        index(folder)
    assert published(folder / ".imagescope") == before


def test_a_failing_model_keeps_what_was_finished(index: Any, pictures: Any) -> None:
    folder = pictures(20)
    replies = ["a picture"] * 10 + [BackendUnavailable("gone")]
    with pytest.raises(BackendUnavailable):
        index(folder, batch=4, reply=replies)
    with pytest.raises(BadInput, match="not indexed"):
        FolderCollection.open(folder)
    index(folder, batch=4)
    assert cost(index) == (12, 12) and len(FolderCollection.open(folder)) == 20


@pytest.mark.parametrize("which", ["imagescope.json", "image.*.faiss", "caption.*.faiss"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "one bit", "other"])
def test_a_damaged_index_is_noticed_and_mended(index: Any, pictures: Any, which: str, damage: str) -> None:
    folder = pictures(6)
    index(folder)
    before = published(folder / ".imagescope")
    (file,) = (folder / ".imagescope").glob(which)
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "one bit":
        data[-9] ^= 1
        file.write_bytes(data)
    else:
        file.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "other": b"[]"}[damage])
    with pytest.raises(BadInput) as caught:
        FolderCollection.open(folder)
    assert "\n" not in str(caught.value) and "imagescope index" in str(caught.value)
    index(folder)
    assert cost(index) == (0, 0) and published(folder / ".imagescope") == before


def test_an_index_of_another_version(index: Any, pictures: Any) -> None:
    folder = pictures(2)
    index(folder)
    file = folder / ".imagescope/imagescope.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(BadInput, match="format is 99"):
        FolderCollection.open(folder)


@pytest.mark.parametrize("damage", [b"not a database, but long enough to be looked at" * 50, "half", "other"])
def test_a_damaged_journal_says_what_to_delete(index: Any, pictures: Any, damage: bytes | str) -> None:
    folder = pictures(30)
    index(folder)
    journal = folder / ".imagescope" / JOURNAL
    if isinstance(damage, bytes):
        journal.write_bytes(damage)
    else:
        data = bytearray(journal.read_bytes())
        data[60:64] = (9).to_bytes(4, "big") if damage == "other" else data[60:64]  # user_version
        journal.write_bytes(data if damage == "other" else data[: len(data) // 2])
    with pytest.raises(BadInput, match=r"delete .*\.imagescope") as caught:
        index(folder)
    assert "\n" not in str(caught.value) and journal.exists()
    assert len(FolderCollection.open(folder)) == 30
    shutil.rmtree(folder / ".imagescope")
    assert index(folder).new == 30


def test_two_indexers_at_once(index: Any, pictures: Any) -> None:
    folder = pictures(3)
    seen: list[str] = []

    def reply(asked: Asked) -> str:
        if not seen:
            seen.append("second run")
            code = textwrap.dedent(f"""
                from imagescope_agent.retrieval.index.cache import IndexCache
                from imagescope_agent.errors import BadInput
                from pathlib import Path
                try:
                    with IndexCache(Path({str(folder / ".imagescope")!r})): pass
                except BadInput as error:
                    print(error)
                """)
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            seen.append(done.stdout)
        return "a picture"

    index(folder, reply=reply)
    assert "another process is indexing" in seen[1] and len(seen[1].splitlines()) == 1
    assert len(FolderCollection.open(folder)) == 3


def test_an_indexer_that_comes_second_removes_nothing(tmp_path: Path) -> None:
    first, second = IndexCache(tmp_path / "out"), IndexCache(tmp_path / "out")  # both find nothing there
    with first:
        with pytest.raises(IndexBusy), second:
            pass
        assert (tmp_path / "out" / JOURNAL).exists()


def test_a_reader_survives_a_new_index(index: Any, pictures: Any, draw: Any, monkeypatch: Any) -> None:
    folder = pictures(3)
    index(folder)
    old = FolderCollection.open(folder)
    real = FaissFlatBackend.open

    def late(*args: Any) -> Any:
        monkeypatch.setattr(FaissFlatBackend, "open", real)
        draw(folder / "new.png", 77)
        index(folder)
        return real(*args)

    monkeypatch.setattr(FaissFlatBackend, "open", late)
    assert (
        len(FolderCollection.open(folder)) == 4 and len(old.search(old.image_vector("0000.png"), 0.1, 9)) == 3
    )


def test_a_place_that_cannot_be_written(index: Any, pictures: Any, tmp_path: Path) -> None:
    folder = pictures(2)
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file/index", Path("/proc/imagescope")):
        with pytest.raises(BadInput, match="cannot write the index") as caught:
            index(folder, out)
        assert "--out" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [0, 3_000, 20_000, 40_000, 60_000, 90_000])
def test_a_full_disk(index: Any, pictures: Any, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may grow beyond `limit` bytes: the journal, the vectors or the manifest fails."""
    folder = pictures(100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(BadInput, match="cannot write the index") as caught:
            index(folder, batch=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    out = folder / ".imagescope"
    left = {path.name for path in out.iterdir()} if out.exists() else set()
    assert left <= {JOURNAL}
    with pytest.raises(BadInput, match="not indexed"):
        FolderCollection.open(folder)
    index(folder, batch=8)
    assert len(FolderCollection.open(folder)) == 100


def test_a_full_disk_leaves_the_index_before(index: Any, pictures: Any, monkeypatch: Any, draw: Any) -> None:
    folder = pictures(5)
    index(folder)
    before = published(folder / ".imagescope")
    draw(folder / "new.png", 7)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left"):
        index(folder)
    assert published(folder / ".imagescope") == before

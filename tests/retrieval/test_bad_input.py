"""What a new user may do wrong with `index` and `search`: exit 2, one line, nothing left behind."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from tests.scripted_profile import scripted_profile
from tests.security.strangers import written_before

Told = Callable[..., str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The one line that a command complains in."""

    def run(*words: object) -> str:
        capsys.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code  # type: ignore[assignment]
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if line.strip()]
        assert (code, len(lines), said.out) == (2, 1, ""), said
        assert "Traceback" not in said.err
        return lines[0]

    return run


@pytest.fixture
def profile(tmp_path: Path, clip_folder: Path) -> Path:
    """A real embedder, scripted chat models."""
    path = tmp_path / "fake.toml"
    path.write_text(scripted_profile(clip_folder))
    return path


@pytest.fixture
def indexed(
    pictures: Any, profile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    folder: Path = pictures(4)
    assert cli.main(["index", str(folder), "--profile", str(profile)]) == 0
    monkeypatch.chdir(folder.parent)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_folders_that_cannot_be_indexed(told: Told, profile: Path, tmp_path: Path, pictures: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    before = contents(tmp_path)
    for name, words in {
        "nowhere": "there is no folder",
        "fake.toml": "there is no folder",
        "empty": "there is no image in",
        "texts": "not an image in a known format",
    }.items():
        line = told("index", tmp_path / name, "--profile", profile)
        assert words in line and "give a folder of" in line
    assert "did you mean 'mini'" in told("index", tmp_path / "texts", "--profile", "minni")
    assert contents(tmp_path) == before and not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "run `imagescope index` on it first"),
        ("pictures/0000.png", "is a file; give an indexed folder"),
        ("pictures/sub", "run `imagescope index"),
    ],
)
def test_what_is_no_collection(told: Told, indexed: Path, name: str, message: str) -> None:
    assert message in told("search", indexed.parent / name, "a boat")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([""], "say what to look for"),
        ([" \t "], "say what to look for"),
        (["x" * 10_000], "at most 8000"),
        (["a boat", "--graph", "imagescop"], "did you mean 'imagescope'"),
        (["a boat", "--judge", "pairwize"], "did you mean 'pairwise'"),
        (["a boat", "--image", "000.png"], "'0000.png'"),
        (["a boat", "--image", "../outside.png"], "give an id of the collection or a file"),
        (["a boat", "--image", "/etc/passwd"], "not an image in a known format; give another file"),
        (["a boat", "-k", "0"], "not a whole number of at least 1"),
        (["a boat", "--profile", "minni"], "did you mean 'mini'"),
    ],
)
def test_searches_that_cannot_be_made(
    told: Told, indexed: Path, profile: Path, words: list[str], message: str
) -> None:
    before = contents(indexed)
    assert message in told("search", indexed, "--profile", profile, *words)
    runs = ("runs.sqlite", "traces.sqlite")  # what is kept of every run, also of a refused one
    after = {name: data for name, data in contents(indexed).items() if not Path(name).name.startswith(runs)}
    assert after == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, d) for name in ("imagescope.json", "*.faiss") for d in ("cut", "noise", "gone")),
        ("profile", "noise"),
    ],
)
def test_a_damaged_index(told: Told, indexed: Path, profile: Path, name: str, damage: str) -> None:
    if name == "profile":
        written_before(indexed / ".imagescope", "mini")
    path = next((indexed / ".imagescope").glob(name))
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else bytes(255 - byte for byte in data))
    own = ["--profile", profile] if name == "*.faiss" else []
    line = told("search", indexed, "a boat", *own)
    assert "imagescope index" in line and str(indexed) in line


def test_an_index_of_other_weights_asks_no_model(
    told: Told, indexed: Path, profile: Path, make_clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(scripted_profile(make_clip(tmp_path / "other", seed=5)))
    monkeypatch.setattr("imagescope_agent.mllms.role.Role.ask", lambda *_, **__: pytest.fail("asked"))
    for graph in ("imagescope", "retrieve"):
        line = told("search", indexed, "a boat", "--profile", other, "--graph", graph)
        assert "made with other embedding weights" in line and "with the profile it was made with" in line


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_nothing(
    told: Told, pictures: Any, profile: Path, problem: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(3)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(problem, os.strerror(problem))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        line = told("index", folder, "--profile", profile)
    assert os.strerror(problem) in line and "--out" in line
    assert "is not indexed" in told("search", folder, "a boat", "--profile", profile)
    assert not list(folder.rglob("*.tmp")) and not list(folder.rglob("*.faiss"))
    assert "--out" in told("index", folder, "--profile", profile, "--out", "/proc/sys/index")


def test_a_world_that_cannot_be_drawn_to_its_end_is_not_left_half(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(out: Path, seed: int, count: int) -> None:
        (out / "images").mkdir(parents=True)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("imagescope_agent.lab.scenes.make.make_world", full)
    assert "the disk is full" in told("scenes", "make", "--count", 3, "--out", tmp_path / "world")
    assert not (tmp_path / "world").exists()
    shutil.copy(__file__, tmp_path / "mine")  # another's folder is never removed
    assert "the disk is full" in told("scenes", "make", "--count", 3, "--out", tmp_path)
    assert (tmp_path / "mine").exists()

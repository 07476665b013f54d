"""Which files of a folder are found as pictures, and that no link or name leads outside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.images import ImageProblem, inside, scan


def test_scan_finds_files_at_any_depth_in_order(tmp_path: Path, draw: Callable[..., Path]) -> None:
    for name in ("b.png", "a/z.png", "a/é.png", "a.b/c.png", "B.png", "notes.txt"):
        draw(tmp_path / name, 1, format="PNG")
    for hidden in (".x.png", ".git/x.png", "a/.cache/x.png", "out/x.png"):
        draw(tmp_path / hidden, 1)
    found, skipped = scan(tmp_path, ignore=tmp_path / "out")
    names = [file.id for file in found]
    assert names == sorted(["b.png", "a/z.png", "a/é.png", "a.b/c.png", "B.png", "notes.txt"])
    assert skipped == []


def test_links_never_lead_outside_and_never_round(tmp_path: Path, draw: Callable[..., Path]) -> None:
    draw(tmp_path / "secret/s.png", 1)
    folder = tmp_path / "folder"
    draw(folder / "sub/a.png", 2)
    for link, target in {
        "out.png": tmp_path / "secret/s.png",
        "outdir": tmp_path / "secret",
        "up": folder,
        "sub/round": folder / "sub",
        "in.png": folder / "sub/a.png",
        "gone.png": folder / "nothing.png",
        "self.png": folder / "self.png",
        "relative.png": Path("../secret/s.png"),
    }.items():
        (folder / link).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    found, skipped = scan(folder)
    assert [file.id for file in found] == ["in.png", "sub/a.png"]
    assert {item.id: item.reason for item in skipped} == {
        "out.png": "a link to outside the folder",
        "outdir": "a link to outside the folder",
        "relative.png": "a link to outside the folder",
        "up": "a link to a folder",
        "sub/round": "a link to a folder",
        "gone.png": "a link that leads nowhere",
        "self.png": "a link that leads nowhere",
        "pipe.png": "not a regular file",
    }


def test_the_folder_itself_may_be_a_link(tmp_path: Path, draw: Callable[..., Path]) -> None:
    draw(tmp_path / "real/a.png", 1)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [file.id for file in scan(tmp_path / "link")[0]] == ["a.png"]


def test_a_name_that_is_not_utf8_is_skipped(tmp_path: Path, draw: Callable[..., Path]) -> None:
    draw(tmp_path / "a.png", 1)
    os.link(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff.png")
    found, skipped = scan(tmp_path)
    assert [file.id for file in found] == ["a.png"]
    assert "UTF-8" in skipped[0].reason and skipped[0].id.encode("utf-8")


def test_an_unreadable_folder_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("imagescope_agent.retrieval.imaging.scanning.os.scandir", scandir)
    assert [(s.id, s.reason) for s in scan(tmp_path)[1]] == [("locked", "unreadable (Permission denied)")]


def test_scan_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "no", tmp_path / "file"):
        with pytest.raises(BadInput, match="folder"):
            scan(path)


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    before, status = scan(tmp_path)[0], path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same date
    assert scan(tmp_path)[0] != before


@given(parts=st.lists(st.sampled_from(["..", ".", "a", "b.png", "/", "//", "a/b.png", "", "\0"]), max_size=6))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_no_name_leads_outside(tmp_path: Path, parts: list[str]) -> None:
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True, exist_ok=True)
    (folder / "a/b.png").write_bytes(b"x")
    (tmp_path / "b.png").write_bytes(b"x")
    with suppress(ImageProblem):
        assert inside(folder, "/".join(parts)).is_relative_to(folder.resolve())

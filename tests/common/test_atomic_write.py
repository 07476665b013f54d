"""A file that is written atomically has all of its old or all of its new content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.common.atomic_write import write_atomic


@pytest.mark.parametrize("content", ["ä\n", "ä\n".encode(), ["ä", "\n"]])
def test_text_in_pieces_and_bytes_are_written(tmp_path: Path, content: Any) -> None:
    write_atomic(tmp_path / "a", "old and longer")
    write_atomic(tmp_path / "a", content, durable=False)
    assert (tmp_path / "a").read_bytes() == "ä\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_error_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_atomic(tmp_path / "a", "old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "a", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_pieces_that_cannot_be_made_leave_the_old_file_alone(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    write_atomic(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", pieces())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_the_mode_is_that_of_the_caller_under_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "open", "x")
        write_atomic(tmp_path / "private", "x", mode=0o600)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "private")] == [0o644, 0o600]

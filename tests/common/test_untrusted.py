"""JSON means the same on every Python, and only regular files of limited size are read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from imagescope_agent.common.untrusted import create_file, parse_json, read_file

DEPTHS = (65, 500, 999, 1_200, 5_000, 50_000, 200_000)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":[', "]}]")])
def test_json_that_is_too_deep_is_none_on_every_python(depth: int, opening: str, closing: str) -> None:
    with pytest.raises(ValueError, match="deep"):
        parse_json(opening * depth + "1" + closing * depth)


def test_json_of_ordinary_depth_is_read() -> None:
    assert parse_json("[" * 60 + "]" * 60) is not None
    assert parse_json(b'{"a": [1, "\xc3\xa9", null]}') == {"a": [1, "é", None]}
    assert parse_json("[[1]]", deepest=2) == [[1]]
    for text in ("[[[1]]]", '{"a": [[]]}'):
        with pytest.raises(ValueError, match="more than 2 deep"):
            parse_json(text, deepest=2)
    with pytest.raises(ValueError, match="more than 3 values"):
        parse_json("[1, 2, 3, 4]", most=3)


@pytest.mark.parametrize("text", ["", "{", "nul", b"\xff", "\ufeff{}", "1" * 5_000, '["\\ud800'])
def test_what_is_no_json_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_only_regular_files_of_limited_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4"):
        read_file(tmp_path / "file", 4)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", tmp_path, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError):
            read_file(path, 5)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none", 5)


def test_a_new_file_is_new(tmp_path: Path) -> None:
    os.close(create_file(tmp_path / "file"))
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            create_file(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_this_python_is_one_that_is_supported() -> None:
    assert sys.version_info >= (3, 11)

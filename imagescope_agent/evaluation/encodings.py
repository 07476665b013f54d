"""Text files of strangers: UTF-8 with or without a byte order mark, and what Windows programs write, UTF-16."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import BinaryIO

from imagescope_agent.common.untrusted import open_file

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST = 4  # bytes of a mark


def decoded(data: bytes) -> str:
    """The text of a file, its lines ending in a line feed.

    Raises:
        UnicodeDecodeError: it is not what its mark says; without a mark, not UTF-8.
    """
    return io.StringIO(data.decode(_encoding(data[:_LONGEST])), newline=None).read()


def open_utf8(path: Path) -> BinaryIO:
    """The file as UTF-8 without a mark, open for reading bytes.

    Raises:
        UnicodeDecodeError: as `decoded`; a file without a mark is not looked through.
        OSError: it cannot be read.
    """
    file = open_file(path, follow=True)
    encoding = _encoding(file.read(_LONGEST))
    if encoding in ("utf-8", "utf-8-sig"):
        file.seek(len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        return file
    with file:
        file.seek(0)
        return io.BytesIO(decoded(file.read()).encode("utf-8"))


def _encoding(head: bytes) -> str:
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8")

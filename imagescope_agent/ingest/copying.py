"""One file of a source into a folder: safe names, bounded sizes, whole or not at all."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.ingest.opening import Item
from imagescope_agent.retrieval.images import FORMATS
from imagescope_agent.retrieval.imaging.scanning import LEFT_OUT

CHUNK = 2**20
LONGEST_NAME = 1000  # bytes of a path, 255 of each of its parts
_HEIF = (".heic", ".heif")


class Unreadable(Exception):
    """A file of a source that cannot be fetched; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is fetched at most: files, bytes of one file, bytes of all."""

    files: int = 1_000_000
    file_bytes: int = 256 * 2**20
    bytes: int = 100 * 2**30


def is_picture(name: str) -> bool:
    """Whether a name is one of a picture."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in _HEIF or Image.registered_extensions().get(suffix) in FORMATS


def safe_name(name: str) -> tuple[str, str]:
    """The path that a file of a source gets in the folder, and why it gets none; "" and "" for hidden files."""
    parts = unicodedata.normalize("NFC", name).split("/")
    if name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in parts):
        return "", "its name leads out of the folder"
    if any(not c.isprintable() for c in name) or ":" in parts[0][:2]:
        return "", "its name has characters that no file should have"
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        return "", "its name is not valid UTF-8"
    if longest > 255 or len(name.encode()) > LONGEST_NAME:
        return "", "its name is too long"
    hidden = any(part.startswith(".") or part.lower() in LEFT_OUT for part in parts)
    return ("", "") if hidden else ("/".join(parts), "")


def copy_file(item: Item, folder: Path, name: str, most: int) -> int:
    """Copy a file of a source; the number of its bytes.

    Raises:
        Unreadable: it cannot be read, or has more than `most` bytes whatever its source says.
        BadInput: the disk is full or read-only, or something of that name is in the way.
    """
    content, size = [], 0
    try:
        with item.open() as file:
            while chunk := file.read(CHUNK):
                content.append(chunk)
                size += len(chunk)
                if size > most:
                    raise Unreadable(f"more than {most // 2**20} MiB")
    except Unreadable:
        raise
    except Exception as error:  # every file system of fsspec has exceptions of its own
        raise Unreadable(shorten(f"{type(error).__name__}: {error}")) from error
    target = folder / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not real_path(target.parent).is_relative_to(real_path(folder)):
            raise BadInput(f"{str(target.parent)!r} is a link out of the folder; remove it")
        write_atomic(target, b"".join(content), durable=False)
    except OSError as error:
        raise BadInput(
            f"cannot write {str(target)!r}: {error.strerror}; choose another folder with --into"
        ) from error
    return size

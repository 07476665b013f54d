"""Thumbnails of a collection and of uploads: for the page, and for terminals with an image protocol."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from PIL import Image

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.thumbnails import thumbnail, to_data_uri
from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.images import ImageProblem, load

SIDE = 320  # pixels, longest side on the page
UPLOADS = "uploads"  # beside the index: a conversation outlives the browser's temporary files
MOST_UPLOADS = 2**30  # bytes
_CHUNK = 4096  # characters of one escape sequence
KITTY = ("kitty", "ghostty")


def data_uri(name: str, collection: FolderCollection, *, side: int = SIDE) -> str:
    """An image of the collection, or an upload, as a `data:` URI; "" where the file is gone.

    Encoded anew from pixels. A conversation is untrusted and cannot make the page show other files of this machine.
    """
    try:
        path, key = find_shown(name, collection)
        stamp = path.stat()
        return _encoded(path, side, key, (stamp.st_mtime_ns, stamp.st_size))
    except (ImageProblem, OSError, ValueError, RuntimeError):
        return ""


def find_shown(name: str, collection: FolderCollection) -> tuple[Path, str]:
    """The file of an image that the page may show, and the sha256 that its content must have; "" for any.

    Raises:
        ImageProblem: it is gone, or neither of the collection nor an upload.
        OSError, ValueError: no file has that name.
    """
    if name in collection:
        return collection.path(name), collection.key(name)
    return _uploaded(name, collection), ""


def keep(upload: Path, collection: FolderCollection) -> str:
    """Store an upload beside the index, encoded anew; returns the id of an equal image of the collection, else a path.

    Raises:
        ImageProblem: it is no usable image.
        BadInput: the limit is reached, or a link leads out of the folder of the index.
    """
    picture = load(upload)
    if known := collection.id_of(picture.key):
        return known
    ref = picture.ref()
    folder = collection.location / UPLOADS
    folder.mkdir(exist_ok=True)
    if folder.is_symlink() or sum(each.lstat().st_size for each in folder.iterdir()) > MOST_UPLOADS:
        raise BadInput(f"no more pictures are kept in {str(folder)!r}; whoever serves the page must clear it")
    path = folder / f"{ref.key}{'.png' if ref.data.startswith(b'PNG', 1) else '.jpg'}"
    if not path.exists():
        write_atomic(path, ref.data)
    return str(path)


def _uploaded(name: str, collection: FolderCollection) -> Path:
    folder = real_path(collection.location) / UPLOADS
    path = Path(name).resolve(strict=True)
    if not path.is_relative_to(folder):
        raise ImageProblem(name, "it was not uploaded")
    return path


@lru_cache(maxsize=2048)
def _encoded(path: Path, side: int, key: str, stamp: tuple[int, int]) -> str:
    return to_data_uri(load_indexed(path, key), side)


def load_indexed(path: Path, key: str) -> Image.Image:
    """The pixels of a file.

    Args:
        path: the file.
        key: the sha256 that its content must have; "" for any.

    Raises:
        ImageProblem: it cannot be used.
    """
    picture = load(path)
    if key and picture.key != key:
        raise ImageProblem(path, "it changed since it was indexed", mend="index the folder again")
    return picture.image


def terminal_protocol(environment: Mapping[str, str] = os.environ) -> str | None:
    """The image protocol of the terminal: "kitty", "iterm", or None (also inside tmux)."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or term.startswith(("screen", "tmux")):
        return None
    if environment.get("KITTY_WINDOW_ID") or any(name in term for name in KITTY) or program == "ghostty":
        return "kitty"
    return "iterm" if program in ("iTerm.app", "WezTerm") else None


def terminal_picture(path: Path, protocol: str, *, rows: int = 6, key: str = "") -> str:
    """The escape sequences that show an image `rows` lines high.

    Raises:
        ImageProblem: it cannot be used.
    """
    buffer = io.BytesIO()
    thumbnail(load_indexed(path, key), 32 * rows).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    if protocol == "iterm":
        return f"\033]1337;File=inline=1;height={rows}:{data}\a"
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    sequences = []
    for number, part in enumerate(parts):
        head = f"a=T,f=100,r={rows}," if number == 0 else ""
        sequences.append(f"\033_G{head}m={int(number < len(parts) - 1)};{part}\033\\")
    return "".join(sequences)

"""Small pictures of a collection and of what a user brought: for the page, and for terminals that can show them."""

from __future__ import annotations

import base64
import io
import os
import secrets
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from PIL import Image

from imagescope_agent.collection.images import ImageProblem, load
from imagescope_agent.collection.index import Collection
from imagescope_agent.errors import BadInput
from imagescope_agent.untrusted import create_file

SIDE = 320  # pixels, longest side on the page
UPLOADS = "uploads"  # beside the index: a conversation outlives the browser's temporary files
MOST_UPLOADS = 2**30  # bytes of them
_CHUNK = 4096  # characters of one escape sequence
KITTY = ("kitty", "ghostty")


def data_uri(name: str, collection: Collection, *, side: int = SIDE) -> str:
    """An image of the collection, or one that was uploaded, as a `data:` address; "" where it is gone.

    The page refers to no file: whatever it shows was put into it here, made anew from pixels. A conversation, which
    may be a stranger's, cannot have it show other files of this machine.
    """
    try:
        if name in collection:
            path, key = collection.path(name), collection.key(name)
        else:
            path, key = _uploaded(name, collection), ""
        stamp = path.stat()
        return _encoded(path, side, key, (stamp.st_mtime_ns, stamp.st_size))
    except (ImageProblem, OSError, ValueError, RuntimeError):
        return ""


def keep(upload: Path, collection: Collection) -> str:
    """An uploaded picture made anew and kept beside the index: an image of the collection, or a path.

    Raises:
        ImageProblem: it is no image that can be used.
        BadInput: no more are kept, or a link leads out of the folder of the index.
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
        partial = path.with_suffix(f".{secrets.token_hex(8)}.part")
        with os.fdopen(create_file(partial), "wb") as file:
            file.write(ref.data)
        partial.replace(path)
    return str(path)


def _uploaded(name: str, collection: Collection) -> Path:
    folder = collection.location.resolve() / UPLOADS
    path = Path(name).resolve(strict=True)
    if not path.is_relative_to(folder):
        raise ImageProblem(name, "it was not uploaded")
    return path


@lru_cache(maxsize=2048)
def _encoded(path: Path, side: int, key: str, stamp: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    thumbnail(path, side, key).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def thumbnail(path: Path, side: int, key: str = "") -> Image.Image:
    """The picture, its longest side at most `side` pixels.

    Args:
        path: the file.
        side: pixels.
        key: the sha256 that its content must have; "" for any.

    Raises:
        ImageProblem: it cannot be used.
    """
    picture = load(path)
    if key and picture.key != key:
        raise ImageProblem(path, "it changed since it was indexed", mend="index the folder again")
    small = picture.image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def terminal_protocol(environment: Mapping[str, str] = os.environ) -> str | None:
    """How the terminal is sent pictures: "kitty", "iterm", or None where it shows none (inside tmux as well)."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or term.startswith(("screen", "tmux")):
        return None
    if environment.get("KITTY_WINDOW_ID") or any(name in term for name in KITTY) or program == "ghostty":
        return "kitty"
    return "iterm" if program in ("iTerm.app", "WezTerm") else None


def terminal_picture(path: Path, protocol: str, *, rows: int = 6, key: str = "") -> str:
    """The escape sequences that show a picture `rows` lines high.

    Raises:
        ImageProblem: it cannot be used.
    """
    buffer = io.BytesIO()
    thumbnail(path, 32 * rows, key).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    if protocol == "iterm":
        return f"\033]1337;File=inline=1;height={rows}:{data}\a"
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    said = []
    for number, part in enumerate(parts):
        head = f"a=T,f=100,r={rows}," if number == 0 else ""
        said.append(f"\033_G{head}m={int(number < len(parts) - 1)};{part}\033\\")
    return "".join(said)

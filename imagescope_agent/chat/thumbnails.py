"""Small pictures of a collection and of what a user brought: for the page, and for terminals that can show them."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from PIL import Image

from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.images import ImageProblem, load

SIDE = 320  # pixels, longest side on the page
_CHUNK = 4096  # characters of one escape sequence
KITTY = ("kitty", "ghostty")


def data_uri(name: str, collection: FolderCollection, *, side: int = SIDE) -> str:
    """An image of the collection, or a file that the user brought, as a `data:` address; "" where it is gone.

    The page refers to no file: whatever it shows was put into it here, made anew from pixels.
    """
    try:
        path = collection.path(name) if name in collection else Path(name)
        stamp = path.stat()
        return _encoded(path, side, (stamp.st_mtime_ns, stamp.st_size))
    except (ImageProblem, OSError):
        return ""


@lru_cache(maxsize=2048)
def _encoded(path: Path, side: int, stamp: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    thumbnail(path, side).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def thumbnail(path: Path, side: int) -> Image.Image:
    """The picture, its longest side at most `side` pixels.

    Raises:
        ImageProblem: it cannot be used.
    """
    small = load(path).image.copy()
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


def terminal_picture(path: Path, protocol: str, *, rows: int = 6) -> str:
    """The escape sequences that show a picture `rows` lines high.

    Raises:
        ImageProblem: it cannot be used.
    """
    buffer = io.BytesIO()
    thumbnail(path, 32 * rows).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    if protocol == "iterm":
        return f"\033]1337;File=inline=1;height={rows}:{data}\a"
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    said = []
    for number, part in enumerate(parts):
        head = f"a=T,f=100,r={rows}," if number == 0 else ""
        said.append(f"\033_G{head}m={int(number < len(parts) - 1)};{part}\033\\")
    return "".join(said)

"""The files in which this user's searches left traces, for `imagescope trace`, which is not given a collection."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from imagescope_agent.common.untrusted import read_file

KNOWN_PLACES = 50
LARGEST_LIST = 2**20  # bytes of the list of places


def remember(path: Path) -> None:
    """Record where traces were written last, for `imagescope trace`, which is not given a collection."""
    file = _known_places_file()
    places = known_places()
    if places and places[0] == path.absolute():
        return
    kept = [str(path.absolute()), *(str(each) for each in places if each != path.absolute())]
    with suppress(OSError):  # a home that cannot be written only means that --store must be given
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text("\n".join(map(_as_line, kept[:KNOWN_PLACES])) + "\n", encoding="utf-8")
        fresh.replace(file)


def known_places() -> list[Path]:
    """Known files with traces of this user, the last written first."""
    try:
        text = read_file(_known_places_file(), LARGEST_LIST, follow=True).decode("utf-8")
        names = [json.loads(line) if line.startswith('"') else line for line in text.split("\n") if line]
        return [Path(name) for name in names if Path(name).is_file()]
    except (OSError, ValueError, TypeError):
        return []


def _as_line(name: str) -> str:
    """A name as a line: as it is, or as JSON where it holds what is no part of a line, or no text."""
    return name if name.isprintable() else json.dumps(name)


def _known_places_file() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "imagescope" / "traces"

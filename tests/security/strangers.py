"""Collections as a stranger, or an earlier version, may have made them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


def rewritten(index: Path, **changes: Any) -> None:
    """Change a manifest and give it a valid checksum; None takes a key away."""
    file = index / "imagescope.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["checksum"]
    content = {name: value for name, value in {**content, **changes}.items() if value is not None}
    content["checksum"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    file.write_text(text, encoding="utf-8", errors="replace")


def written_before(index: Path, profile: str | None) -> None:
    """Make an index one of an earlier version, whose profile stands in a file of its own."""
    rewritten(index, profile=None)
    if profile is not None:
        (index / "profile").write_text(profile, encoding="utf-8")


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """A database, what is done with it kept, and closed."""
    with closing(sqlite3.connect(path)) as base, base:
        yield base


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: files with their content, links with where they lead."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = path.read_bytes() if path.is_file() else "no file"
        except (
            FileNotFoundError
        ):  # SQLite takes its own away when a connection ends, perhaps as garbage is collected
            continue
    return found

"""Captions that searches make: kept beside the index, used at once, and taken over when the folder is indexed again.

Several processes may search and add captions at the same time: `captions.sqlite` is written in short transactions, and
the first caption of a content stays. It is read when a collection is opened.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagescope_agent.common.untrusted import (
    beside,
    connect_for_reading,
    require_own_tables,
    require_tables_only,
)
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.index.rows import digest_of, is_vector
from imagescope_agent.retrieval.vectors import Vectors

FILE = "captions.sqlite"
PATIENCE = 5.0  # seconds to wait for another process
_TABLES = {"captions": {"key", "caption", "words", "digest", "recipe"}}
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS captions (key TEXT PRIMARY KEY, caption TEXT NOT NULL, words BLOB NOT NULL, "
    "digest TEXT NOT NULL, recipe TEXT NOT NULL)"
)


@dataclass(frozen=True, kw_only=True)
class FoundCaption:
    """The caption of a content that a search made ("" where the captioner gave none), and its vector (d,)."""

    key: str
    caption: str
    words: Vectors


def recipe_of(embedder: str, captioner: str, prompt: str | None = None) -> str:
    """Identifies what made captions and their vectors; without the prompt, the beginning of that."""
    return f"{embedder}\n{captioner}\n" + (
        "" if prompt is None else hashlib.sha256(prompt.encode()).hexdigest()
    )


def found_captions(
    location: Path, recipe: str, dimension: int, *, keys: Sequence[str] | None = None
) -> list[FoundCaption]:
    """The captions that searches made.

    Rows that do not match their digest are left out: their captions are made again.

    Args:
        location: the folder of the index.
        recipe: what made them, or the beginning of it.
        dimension: of the vectors.
        keys: of which contents; None for all.

    Raises:
        BadInput: the file is damaged, or something else bears its name.
    """
    if not beside(location, FILE).is_file():
        return []
    try:
        with closing(connect_for_reading(location / FILE, PATIENCE)) as base:
            base.text_factory = lambda text: text.decode("utf-8", "replace")
            require_tables_only(base)
            require_own_tables(base, _TABLES, there=True)
            query = "SELECT key, caption, words, digest FROM captions WHERE substr(recipe, 1, ?) = ?"
            some = "" if keys is None else " AND key IN (SELECT value FROM json_each(?))"
            given = () if keys is None else (json.dumps(keys),)
            rows = list(base.execute(query + some, (len(recipe), recipe, *given)))
    except sqlite3.Error as error:
        raise BadInput(
            f"{str(location / FILE)!r} is damaged ({error}); delete it, its captions are made again when needed"
        ) from error
    return [
        FoundCaption(key=key, caption=caption, words=np.frombuffer(words, dtype=np.float32))
        for key, caption, words, digest in rows
        if digest == digest_of(key, caption, words, words) and is_vector(words, dimension)
    ]


def add_captions(location: Path, recipe: str, found: Sequence[FoundCaption]) -> None:
    """Keep captions that a search made; a content that has one already keeps it.

    Raises:
        BadInput: something that is no file of ours bears the name.
        sqlite3.Error: nothing can be written there now.
    """
    rows = [(each.key, each.caption, each.words.tobytes()) for each in found]
    with _writing(location) as base:
        base.executemany(
            "INSERT OR IGNORE INTO captions VALUES (?, ?, ?, ?, ?)",
            [(*row, digest_of(*row, row[-1]), recipe) for row in rows],
        )


def forget_captions(location: Path, keys: Sequence[str]) -> None:
    """Delete captions that the index has now.

    Raises:
        BadInput, sqlite3.Error: as `add_captions`.
    """
    if not (location / FILE).exists():
        return
    with _writing(location) as base:
        base.executemany("DELETE FROM captions WHERE key = ?", [(key,) for key in keys])


@contextmanager
def _writing(location: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(beside(location, FILE), timeout=PATIENCE, isolation_level=None)) as base:
        require_own_tables(base, _TABLES)
        require_tables_only(base)
        base.execute("BEGIN IMMEDIATE")
        base.execute(_SCHEMA)
        yield base
        base.execute("COMMIT")  # where it is not reached, closing rolls back

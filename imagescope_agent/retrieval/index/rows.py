"""Tables and rows of the index cache: what is kept of a content, and how damage to it is seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from imagescope_agent.retrieval.vectors import Vectors, fits

VERSION = 2
FIELDS = "CREATE TABLE IF NOT EXISTS fields (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
TABLES = {
    "recipe": {"name"},
    "contents": {"key", "caption"},
    "files": {"id", "stamp", "key"},
}
SCHEMA = (
    "CREATE TABLE recipe (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE contents (key TEXT PRIMARY KEY, caption TEXT, image BLOB, words BLOB, digest TEXT)",
    "CREATE TABLE files (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, key TEXT NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)


@dataclass(frozen=True, kw_only=True)
class Content:
    """Caption and vectors of one content; vectors are (d,) float32, unit length.

    Without a caption ("" where the captioner gave none, None where it was not asked yet) both vectors are the image's,
    so that its score is the plain cosine.
    """

    key: str
    caption: str | None
    image: Vectors
    words: Vectors


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as it was when it was indexed."""

    id: str
    stamp: str
    key: str


def row_of(content: Content) -> tuple[str, str | None, bytes, bytes]:
    """A content as a row of the table."""
    vectors = (np.asarray(each, dtype=np.float32).tobytes() for each in (content.image, content.words))
    image, words = vectors
    return content.key, content.caption, image, words


def digest_of(key: object, caption: object, image: object, words: object) -> str | None:
    """A hash over a row of `contents`; None where a value is of another type than it was written with."""
    if not isinstance(key, str) or not isinstance(caption, str | None):
        return None
    if not isinstance(image, bytes) or not isinstance(words, bytes):
        return None
    whole = hashlib.sha256()
    said = b"\xff" if caption is None else caption.encode("utf-8", "surrogatepass")  # no text is encoded so
    for part in (key.encode(), said, image, words):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def is_vector(blob: bytes, dimension: int) -> bool:
    """Whether stored bytes are a vector of this length."""
    return len(blob) == 4 * dimension and fits(np.frombuffer(blob, dtype=np.float32), dimension)

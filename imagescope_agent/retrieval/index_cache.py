"""Index cache: captions and vectors by content hash in one SQLite file, so that a killed indexer resumes.

`contents` maps the sha256 of a file to its caption and vectors, `files` a file to its sha256 and its stamp (size and
times): a file that was moved, copied or touched needs no model. Readers of a collection do not open it (see
manifest.py). It is locked while open: one indexer at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from imagescope_agent.common.untrusted import NotOurs, beside, require_own_tables, require_tables_only
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.manifest import MANIFEST, Entry, require_ours
from imagescope_agent.retrieval.vectors import fits

JOURNAL = "journal.sqlite"
_VERSION = 2
_TABLES = {"recipe": {"name"}, "contents": {"key", "caption"}, "files": {"id", "stamp", "key"}}
_CHUNK = 1024
_SCHEMA = (
    "CREATE TABLE recipe (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE contents (key TEXT PRIMARY KEY, caption TEXT, image BLOB, words BLOB, digest TEXT)",
    "CREATE TABLE files (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, key TEXT NOT NULL)",
    f"PRAGMA user_version = {_VERSION}",
)

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Caption and vectors of one content; vectors are (d,) float32, unit length."""

    key: str
    caption: str
    image: Vector
    words: Vector


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as it was when it was indexed."""

    id: str
    stamp: str
    key: str


class IndexBusy(BadInput):
    """Another indexer uses the same folder."""


class IndexCache:
    """The cache of an index folder; use as a context manager.

    Every method raises:
        BadInput: the disk is full or read-only, the file is damaged, or (IndexBusy) another indexer uses it.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        with storing(out):
            self._made_folder = not out.exists()
            out.mkdir(parents=True, exist_ok=True)
            beside(out, JOURNAL)
            require_ours(out, JOURNAL)
            self._fresh = not (out / JOURNAL).exists()
            self._db = sqlite3.connect(out / JOURNAL, timeout=0, isolation_level=None)
            self._db.text_factory = lambda text: text.decode("utf-8", "replace")  # the digest detects damage

    def __enter__(self) -> IndexCache:
        try:
            with storing(self._out):
                self._require_ours()  # before anything is written
                # the lock is the database's own: held until closed, released by the system when killed
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                # no wait for the disk at each batch: a power cut may undo the last ones, never harm the file
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                require_tables_only(self._db)
                with self._transaction():
                    self._prepare()
        except IndexBusy:
            self._close(remove=False)  # the file is the other indexer's
            raise
        except BadInput:
            self._close(remove=self._fresh)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        empty = self._fresh and kind is not None and not self._any_files()
        self._close(remove=empty)

    def adopt(self, **recipe: str) -> None:
        """Set the `embedder` and `captioner` of this run; results of other ones are deleted."""
        with storing(self._out), self._transaction():
            before = dict(self._db.execute("SELECT name, value FROM recipe"))
            if before.get("captioner", recipe["captioner"]) != recipe["captioner"]:
                self._db.execute("UPDATE contents SET caption = NULL, image = NULL, words = NULL")
            if before.get("embedder", recipe["embedder"]) != recipe["embedder"]:
                self._db.execute("UPDATE contents SET image = NULL, words = NULL")
            self._db.executemany("INSERT OR REPLACE INTO recipe VALUES (?, ?)", recipe.items())

    def forget_damaged(self, dimension: int) -> int:
        """Delete contents that do not match their digest, so that they are computed again; returns their number.

        Those of an older version have no digest: they are accepted if their vectors are valid, and get one.
        """
        query = "SELECT rowid, key, caption, image, words, digest FROM contents WHERE image IS NOT NULL"
        damaged: list[tuple[int]] = []
        first: list[tuple[str, int]] = []
        with storing(self._out), self._transaction():
            for row, key, caption, image, words, kept in self._db.execute(query):
                found = _digest(key, caption, image, words)
                whole = found is not None and all(_is_vector(blob, dimension) for blob in (image, words))
                if not whole or kept not in (None, found):
                    damaged.append((row,))
                elif kept is None:
                    first.append((str(found), row))
            self._db.executemany("DELETE FROM contents WHERE rowid = ?", damaged)
            self._db.executemany("UPDATE contents SET digest = ? WHERE rowid = ?", first)
        return len(damaged)

    def files(self) -> dict[str, File]:
        """Every file whose content has vectors, by id."""
        query = "SELECT id, stamp, files.key FROM files JOIN contents USING (key) WHERE image IS NOT NULL"
        with storing(self._out):
            rows = self._db.execute(query)
            return {name: File(id=name, stamp=stamp, key=key) for name, stamp, key in rows}

    def done(self, key: str) -> bool:
        """Whether this content has its vectors."""
        with storing(self._out):
            query = "SELECT 1 FROM contents WHERE key = ? AND image IS NOT NULL"
            return self._db.execute(query, (key,)).fetchone() is not None

    def caption(self, key: str) -> str | None:
        """The caption of this content, None where there is none."""
        with storing(self._out):
            row = self._db.execute("SELECT caption FROM contents WHERE key = ?", (key,)).fetchone()
            return row[0] if row else None

    def any_caption(self) -> bool:
        """Whether any content has a caption that is not empty."""
        with storing(self._out):
            query = "SELECT 1 FROM contents WHERE caption <> '' LIMIT 1"
            return self._db.execute(query).fetchone() is not None

    def record(self, contents: Sequence[Content], files: Sequence[File]) -> None:
        """Store a finished batch in one transaction."""
        with storing(self._out), self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?)",
                [(*row, _digest(*row)) for row in map(_row, contents)],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", [(f.id, f.stamp, f.key) for f in files]
            )

    def keep_only(self, ids: set[str]) -> int:
        """Delete every other file, and contents without a file; returns the number of files deleted."""
        with storing(self._out), self._transaction():
            rows = self._db.execute("SELECT rowid, id FROM files")
            gone = [(row,) for row, name in rows if name not in ids]
            self._db.executemany("DELETE FROM files WHERE rowid = ?", gone)
            self._db.execute("DELETE FROM contents WHERE key NOT IN (SELECT key FROM files)")
            return len(gone)

    def entries(self) -> Iterator[Entry]:
        """All files in order of id."""
        query = "SELECT id, files.key, caption FROM files JOIN contents USING (key) ORDER BY id"
        with storing(self._out):
            for name, key, caption in self._db.execute(query):
                yield Entry(id=name, key=key, caption=caption)

    def vectors(self, column: str) -> Iterator[npt.NDArray[np.float32]]:
        """Vectors of all files in order of id, in chunks of (n, d); `column` is "image" or "words"."""
        column = {"image": "image", "words": "words"}[column]
        with storing(self._out):
            rows = self._db.execute(f"SELECT {column} FROM files JOIN contents USING (key) ORDER BY id")
            while chunk := rows.fetchmany(_CHUNK):
                try:
                    yield np.stack([np.frombuffer(blob, dtype=np.float32) for (blob,) in chunk])
                except ValueError as error:  # blobs of unequal or odd length
                    raise _damaged(self._out) from error

    def _require_ours(self) -> None:
        try:
            require_own_tables(self._db, _TABLES)
        except NotOurs as error:
            raise BadInput(
                f"{str(self._out / JOURNAL)!r} is somebody else's; choose another folder with --out"
            ) from error

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA:
                self._db.execute(statement)
        elif version == 1:
            self._db.execute("ALTER TABLE contents ADD COLUMN digest TEXT")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise _damaged(self._out)

    def _any_files(self) -> bool:
        try:
            return self._db.execute("SELECT 1 FROM files").fetchone() is not None
        except sqlite3.Error:
            return True  # what cannot be read is not ours to delete

    def _close(self, *, remove: bool) -> None:
        self._db.close()
        if remove and not (self._out / MANIFEST).exists():
            with suppress(OSError):  # leaving nothing behind must not hide what went wrong
                for name in (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-journal"):
                    (self._out / name).unlink(missing_ok=True)
                if self._made_folder:
                    self._out.rmdir()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN EXCLUSIVE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has already rolled it back
                self._db.execute("ROLLBACK")
            raise


def _row(content: Content) -> tuple[str, str, bytes, bytes]:
    vectors = (np.asarray(each, dtype=np.float32).tobytes() for each in (content.image, content.words))
    image, words = vectors
    return content.key, content.caption, image, words


def _digest(key: object, caption: object, image: object, words: object) -> str | None:
    """A hash over a row of `contents`; None where a value is of another type than it was written with."""
    if not isinstance(key, str) or not isinstance(caption, str):
        return None
    if not isinstance(image, bytes) or not isinstance(words, bytes):
        return None
    whole = hashlib.sha256()
    for part in (key.encode(), caption.encode("utf-8", "surrogatepass"), image, words):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _is_vector(blob: bytes, dimension: int) -> bool:
    return len(blob) == 4 * dimension and fits(np.frombuffer(blob, dtype=np.float32), dimension)


@contextmanager
def storing(out: Path) -> Iterator[None]:
    """Turn errors of the disk and of SQLite into one line that says what to do.

    Raises:
        BadInput: always in place of OSError and sqlite3.Error; IndexBusy for a lock.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from error
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise IndexBusy(
                f"another process is indexing into {str(out)!r}; wait for it to end, then run this again"
            ) from error
        raise _unwritable(out, str(error)) from error
    except sqlite3.Error as error:
        raise _damaged(out) from error


def _unwritable(out: Path, why: str) -> BadInput:
    return BadInput(
        f"cannot write the index in {str(out)!r}: {why}; make room or write permission there, "
        "or choose another folder with --out; what was finished is kept"
    )


def _damaged(out: Path) -> BadInput:
    return BadInput(f"{str(out / JOURNAL)!r} is damaged; delete {str(out)!r} and index the folder again")

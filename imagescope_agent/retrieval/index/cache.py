"""Index cache: captions and vectors by content hash in one SQLite file, so that a killed indexer resumes.

`contents` maps the sha256 of a file to its caption (null until the captioner is asked) and vectors, `fields` to what
the file says of itself, `files` a file to its sha256 and its stamp (size and times): a file that was moved, copied or
touched needs no model. Readers of a collection do not open it (see manifest.py). An open one is locked: one indexer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from imagescope_agent.common.untrusted import (
    NotOurs,
    beside,
    parse_json,
    require_own_tables,
    require_tables_only,
)
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.captions.lazy import FoundCaption
from imagescope_agent.retrieval.index import rows as index_rows
from imagescope_agent.retrieval.index.manifest import MANIFEST, Entry
from imagescope_agent.retrieval.index.rows import Content, File
from imagescope_agent.retrieval.own_files import require_ours
from imagescope_agent.retrieval.vectors import Vectors

JOURNAL = "journal.sqlite"
_VECTORS = {"image": "image", "words": "words"}  # columns
_CHUNK = 1024


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
                found = index_rows.digest_of(key, caption, image, words)
                whole = found is not None and all(
                    index_rows.is_vector(blob, dimension) for blob in (image, words)
                )
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
        return self.image(key) is not None

    def caption(self, key: str) -> str | None:
        """The caption of this content, None where there is none."""
        with storing(self._out):
            row = self._db.execute("SELECT caption FROM contents WHERE key = ?", (key,)).fetchone()
            return row[0] if row else None

    def image(self, key: str) -> Vectors | None:
        """The image vector of this content, None where there is none."""
        with storing(self._out):
            row = self._db.execute("SELECT image FROM contents WHERE key = ?", (key,)).fetchone()
            return np.frombuffer(row[0], dtype=np.float32) if row and row[0] is not None else None

    def uncaptioned(self) -> set[str]:
        """The contents with vectors of which the captioner was not asked yet."""
        with storing(self._out):
            query = "SELECT key FROM contents WHERE caption IS NULL AND image IS NOT NULL"
            return {key for (key,) in self._db.execute(query)}

    def add_captions(self, found: Iterable[FoundCaption]) -> None:
        """Give captions that were made elsewhere to contents without one."""
        with storing(self._out), self._transaction():
            for each in found:
                if (image := self.image(each.key)) is None:
                    continue
                words = each.words if each.caption else image
                row = index_rows.row_of(Content(key=each.key, caption=each.caption, image=image, words=words))
                query = (
                    "UPDATE contents SET caption = ?, words = ?, digest = ? WHERE key = ? AND caption IS NULL"
                )
                self._db.execute(query, (each.caption, row[-1], index_rows.digest_of(*row), each.key))

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
                [(*row, index_rows.digest_of(*row)) for row in map(index_rows.row_of, contents)],
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
            for table in ("contents", "fields"):
                self._db.execute(f"DELETE FROM {table} WHERE key NOT IN (SELECT key FROM files)")
            return len(gone)

    def file_fields(self) -> dict[str, Any]:
        """What was kept by `record_fields`, by content; a damaged row is left out."""
        found: dict[str, Any] = {}
        with storing(self._out):
            for key, text in self._db.execute("SELECT key, value FROM fields"):
                with suppress(ValueError):
                    found[key] = parse_json(str(text), deepest=1)
        return found

    def record_fields(self, fields: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what files say of themselves, by content, in one transaction."""
        rows = ((key, json.dumps(value)) for key, value in fields.items())
        with storing(self._out), self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO fields VALUES (?, ?)", rows)

    def entries(self) -> Iterator[Entry]:
        """All files in order of id."""
        query = "SELECT id, files.key, caption FROM files JOIN contents USING (key) ORDER BY id"
        with storing(self._out):
            for name, key, caption in self._db.execute(query):
                yield Entry(id=name, key=key, caption=caption)

    def vectors(self, column: str, ids: Sequence[str] = ()) -> Iterator[Vectors]:
        """Vectors of all files, or of some hundred, by id, in chunks of (n, d); `column` is "image" or "words"."""
        some = f"WHERE id IN ({', '.join('?' * len(ids))})" if ids else ""
        with storing(self._out):
            query = f"SELECT {_VECTORS[column]} FROM files JOIN contents USING (key) {some} ORDER BY id"
            rows = self._db.execute(query, ids)
            while chunk := rows.fetchmany(_CHUNK):
                try:
                    yield np.stack([np.frombuffer(blob, dtype=np.float32) for (blob,) in chunk])
                except ValueError as error:  # blobs of unequal or odd length
                    raise _damaged(self._out) from error

    def _require_ours(self) -> None:
        try:
            require_own_tables(self._db, index_rows.TABLES)
        except NotOurs as error:
            raise BadInput(
                f"{str(self._out / JOURNAL)!r} is somebody else's; choose another folder with --out"
            ) from error

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in index_rows.SCHEMA:
                self._db.execute(statement)
        elif version == 1:
            self._db.execute("ALTER TABLE contents ADD COLUMN digest TEXT")
            self._db.execute(f"PRAGMA user_version = {index_rows.VERSION}")
        elif version != index_rows.VERSION:
            raise _damaged(self._out)
        self._db.execute(index_rows.FIELDS)  # of a later date, and nothing in it is missed

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

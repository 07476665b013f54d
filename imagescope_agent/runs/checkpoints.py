"""Where runs are written down: SQLite beside the index, or PostgreSQL by URL; plain values only."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from imagescope_agent.common.postgres import is_away
from imagescope_agent.common.redact import redact
from imagescope_agent.common.untrusted import (
    CHECKPOINT_TABLES,
    local_path,
    require_own_tables,
    require_tables_only,
    use_write_ahead_log,
)
from imagescope_agent.errors import BadInput, MissingExtra, shorten
from imagescope_agent.runs.gone import gone

FILE = "runs.sqlite"
LIMIT_VARIABLE = "IMAGESCOPE_RUNS_MB"
LIMIT = 512  # megabytes of finished searches; the oldest make room
MOST = 10**9  # megabytes
PATIENCE = 30.0  # seconds to wait for another process that is writing
POSTGRES = ("postgresql://", "postgres://")


TAKES_NOTHING = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR_WRITE")
#: What values of a wrong kind cause where they are used.
DAMAGE = (sqlite3.Error, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class ReadOnly(BadInput):
    """The place where runs should be kept takes nothing."""


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """A checkpoint store in one SQLite file, made when it is not there.

    The allow-list of types is empty: a state holds plain values, and nothing else is ever read back.

    Raises:
        ReadOnly: the file cannot be written.
        BadInput: it is no such store.
    """
    with explained(path):
        await asyncio.to_thread(_look_at, path)
        async with aiosqlite.connect(path, timeout=PATIENCE) as connection:
            saver = AsyncSqliteSaver(connection, serde=plain_serializer())
            await saver.setup()
            yield saver


@asynccontextmanager
async def open_readable(path: Path, problem: ReadOnly) -> AsyncIterator[AsyncSqliteSaver]:
    """A checkpoint store in one SQLite file that nothing can be written into: what it holds can be read.

    Args:
        path: the file.
        problem: why it cannot be written.

    Raises:
        ReadOnly: there is no such file; the problem as given.
        BadInput: it is no such store.
    """
    if not path.is_file():
        raise problem
    try:
        # beside a file that was closed well there is no log to read, and none can be made
        log = path.with_name(f"{path.name}-wal")
        how = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
        async with aiosqlite.connect(
            f"{path.resolve().as_uri()}?{how}", uri=True, timeout=PATIENCE
        ) as connection:
            await connection.execute_fetchall("pragma trusted_schema=off")
            await asyncio.to_thread(_require_tables_only, path, how)
            yield AsyncSqliteSaver(connection, serde=plain_serializer())
    except (sqlite3.Error, OSError) as error:
        raise BadInput(_unusable(path, error)) from error


def _require_tables_only(path: Path, how: str) -> None:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)) as base:
        require_tables_only(base)


def _look_at(path: Path) -> None:
    """Find out whether a store may be opened before a connection with a thread of its own is.

    Raises:
        OSError: the place is read-only.
        sqlite3.Error: it is no store of ours.
    """
    require_writable(path)
    require_store(path)


def require_writable(path: Path) -> None:
    """Make the folder of a store, and make sure that the store can be written.

    Raises:
        OSError: the place is read-only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for each in (path.parent, path):
        if each.exists() and not os.access(each, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(each))


def require_store(path: Path) -> None:
    """Make sure that a file is a store of ours or new, and can be read while it is written.

    Raises:
        sqlite3.Error: it is not.
    """
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as base:
        require_tables_only(base)
        require_own_tables(base, CHECKPOINT_TABLES)
        base.execute(
            "pragma auto_vacuum=incremental"
        )  # of a new file: it can be cut when a connection is closed
        use_write_ahead_log(base, PATIENCE)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of a store's file into one line.

    Raises:
        ReadOnly: the file cannot be written.
        BadInput: it is no such store.
    """
    try:
        yield
    except OSError as error:
        raise ReadOnly(_unusable(path, error)) from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        kind = ReadOnly if name.startswith(TAKES_NOTHING) else BadInput
        raise kind(_unusable(path, error)) from error


@contextmanager
def reading(place: Path | str) -> Iterator[None]:
    """Turn what goes wrong with kept values, which somebody else may have written, into one line.

    Raises:
        BadInput: in place of whatever values of a wrong kind cause.
    """
    try:
        yield
    except DAMAGE as error:
        raise BadInput(
            f"what {redact(str(place))!r} keeps is damaged ({type(error).__name__}: {shorten(str(error))}); "
            "begin anew, with another file where this one is not yours"
        ) from error


@asynccontextmanager
async def open_store(place: Path | str, *, scope: str = "") -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """A checkpoint store in an SQLite file or, by "postgresql://user@host/database", in PostgreSQL.

    Args:
        place: the file or the URL.
        scope: what the names of its threads begin with in PostgreSQL, where others may use the same tables.

    Raises:
        BadInput: the file cannot be written, or the database does not keep what it is given.
        StoreGone: the database server does not answer.
        MissingExtra: PostgreSQL without the extra `postgres`.
    """
    if not str(place).startswith(POSTGRES):
        async with open_checkpoints(local_path(str(place))) as saver:
            yield saver
        return
    try:
        import psycopg

        from imagescope_agent.runs.postgres_saver import open_saver
    except ImportError as error:
        raise MissingExtra(
            "sessions in PostgreSQL need an extra: pip install 'imagescope-agent[postgres]'"
        ) from error
    try:
        async with open_saver(str(place), scope, plain_serializer()) as database:
            yield database
    except psycopg.Error as error:
        if is_away(error):
            raise gone(str(place), str(error)) from error
        raise BadInput(
            f"PostgreSQL refuses to keep the session: {shorten(redact(str(error)), 200)}; name another database"
        ) from error


def limit() -> int:
    """How many bytes of searches are kept: IMAGESCOPE_RUNS_MB, else 512 MB.

    Raises:
        BadInput: that is no positive number.
    """
    told = os.environ.get(LIMIT_VARIABLE) or str(LIMIT)
    try:
        megabytes = float(told)
    except ValueError:
        megabytes = 0.0
    if not 0 < megabytes <= MOST:
        raise BadInput(
            f"{LIMIT_VARIABLE} is {shorten(told, 40)!r}; give the megabytes that searches may take, "
            f"above 0 and at most {MOST}"
        )
    return int(megabytes * 1e6)


def plain_serializer() -> JsonPlusSerializer:
    """Reads back plain values only."""
    return JsonPlusSerializer(allowed_msgpack_modules=[])


def _unusable(path: Path, error: Exception) -> str:
    named = "IMAGESCOPE_RUNS" if path.name == FILE else "IMAGESCOPE_RUNS or, for conversations, --store"
    return (
        f"cannot keep the run in {str(path)!r}: {error}; make room there, or name another file with {named}"
    )

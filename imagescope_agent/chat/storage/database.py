"""SQL on the connection that a checkpoint store uses: SQLite, PostgreSQL, or SQLite in memory.

Statements are written once, with `?` for values and `blob` for bytes. They hold the lock of the checkpoint store, so a
transaction takes in none of its statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from imagescope_agent.common.postgres import SETUP_LOCK, is_away

Rows = list[tuple[Any, ...]]
Execute = Callable[..., Awaitable[Rows]]  # (statement, *values) -> rows


class Database(Protocol):
    """What the table of turns asks of a database."""

    async def fetch(self, sql: str, *values: Any) -> Rows:
        """The rows of one query."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Execute]:
        """Run statements of which all or none take effect."""
        ...

    async def trim(self) -> None:
        """Give free room at the end back to the disk, where that is cheap."""
        ...

    async def shrink(self) -> None:
        """Give all free room back to the disk; nobody else can use the database meanwhile."""
        ...

    async def size(self, *, free: bool = False) -> int:
        """Bytes of all that is stored; with `free`, also those that wait for the next rows."""
        ...


class SqliteDatabase:
    """SQLite.

    Args:
        connection: an `aiosqlite.Connection`, or what awaits like one.
        lock: held by every statement.
    """

    def __init__(self, connection: Any, lock: asyncio.Lock) -> None:
        self._connection, self._lock = connection, lock

    async def fetch(self, sql: str, *values: Any) -> Rows:
        """See `Database.fetch`."""
        async with self._lock:
            return await self._execute(sql, *values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Execute]:
        """See `Database.transaction`."""
        async with self._lock:
            # waits for another writer here: one that has read already would be refused at once
            await self._execute("begin immediate")
            try:
                yield self._execute
                await self._connection.commit()
            except BaseException:
                await self._connection.rollback()
                raise

    async def trim(self) -> None:
        """See `Database.trim`; a database made by an older version keeps its size until it is shrunk."""
        async with self._lock:
            # as a script: a single statement would cut off one page only
            await self._connection.executescript("pragma incremental_vacuum")

    async def shrink(self) -> None:
        """See `Database.shrink`."""
        async with self._lock:
            await self._execute("pragma auto_vacuum=incremental")
            await self._execute("vacuum")
            await self._execute("pragma wal_checkpoint(truncate)")

    async def size(self, *, free: bool = False) -> int:
        """See `Database.size`."""
        pages, unused, size = [
            (await self.fetch(f"pragma {name}"))[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        ]
        return int((pages - (0 if free else unused)) * size)

    async def _execute(self, sql: str, *values: Any) -> Rows:
        return [tuple(row) for row in await self._connection.execute_fetchall(sql, values)]


class _InMemory:
    """A database that lives as long as this object; no statement takes long enough to need a thread."""

    def __init__(self, tables: Sequence[str]) -> None:
        self._base = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in tables:
            self._base.execute(statement)

    async def execute_fetchall(self, sql: str, values: Any) -> Rows:
        return self._base.execute(sql, values).fetchall()

    async def commit(self) -> None:
        self._base.commit()

    async def rollback(self) -> None:
        self._base.rollback()

    def __del__(self) -> None:
        self._base.close()


class PostgresDatabase:
    """PostgreSQL, on the one connection of an `AsyncPostgresSaver`."""

    def __init__(self, saver: Any) -> None:
        self._saver = saver

    async def fetch(self, sql: str, *values: Any) -> Rows:
        """See `Database.fetch`."""
        async with self._saver.lock:
            await self._saver.reopen()
            return await self._execute(sql, *values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Execute]:
        """See `Database.transaction`."""
        async with self._saver.lock:
            await self._saver.reopen()
            async with self._saver.conn.transaction():
                yield self._execute

    async def trim(self) -> None:
        """See `Database.trim`; the server vacuums by itself."""

    async def shrink(self) -> None:
        """See `Database.shrink`."""
        await self.fetch("vacuum full")

    async def size(self, *, free: bool = False) -> int:
        """See `Database.size`; without `free`, rows that are not in use any more are vacuumed first."""
        if not free:
            await self.fetch("vacuum")
        found = await self.fetch(
            "select coalesce(sum(pg_total_relation_size(relid)), 0) from pg_stat_user_tables"
        )
        return int(found[0][0])

    async def _execute(self, sql: str, *values: Any) -> Rows:
        from psycopg.rows import tuple_row

        async with self._saver.conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(sql.replace("?", "%s").replace(" blob", " bytea"), values)
            return await cursor.fetchall() if cursor.description else []


def database_of(saver: BaseCheckpointSaver[Any], tables: Sequence[str]) -> Database:
    """The database of a checkpoint store; for a store in memory one in memory, with these tables."""
    if isinstance(saver, AsyncSqliteSaver):
        return SqliteDatabase(saver.conn, saver.lock)
    if hasattr(saver, "conn"):
        return PostgresDatabase(saver)
    return SqliteDatabase(_InMemory(tables), asyncio.Lock())


async def create_tables(database: Database, statements: Sequence[str]) -> None:
    """Create tables that are not there; processes that do it at once wait for each other."""
    async with database.transaction() as execute:
        if isinstance(database, PostgresDatabase):
            await execute("select pg_advisory_xact_lock(?)", SETUP_LOCK + 1)
        for statement in statements:
            await execute(statement)


def is_storage_error(error: BaseException) -> bool:
    """Whether a database raised this: its disk is full, it went away, another process writes for too long."""
    psycopg = sys.modules.get("psycopg")
    return isinstance(error, sqlite3.Error) or (psycopg is not None and isinstance(error, psycopg.Error))


def is_gone(error: BaseException) -> bool:
    """Whether a database server that was restarted, or does not answer, is behind it."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(error, psycopg.Error) and is_away(error)

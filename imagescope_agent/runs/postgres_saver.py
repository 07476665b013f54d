"""Checkpoints in PostgreSQL, in tables that several collections and services share (extra `postgres`)."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import dict_row

from imagescope_agent.common.postgres import NO_CONNECTION_LEFT, SETUP_LOCK, connection_options
from imagescope_agent.runs.connections import connections
from imagescope_agent.runs.gone import gone

_SIZE = (
    "select coalesce((select sum(pg_column_size(blob)) from checkpoint_blobs where starts_with(thread_id, %s)), 0) + "
    "coalesce((select sum(pg_column_size(blob)) from checkpoint_writes where starts_with(thread_id, %s)), 0) as found"
)
_OLDEST = (
    "select thread_id as found from checkpoints where starts_with(thread_id, %s) "
    "group by thread_id order by max(checkpoint_id)"
)


async def connect(url: str) -> AsyncConnection[Any]:
    """A connection as `AsyncPostgresSaver` needs it; where the server has none left, others may soon give one back.

    Raises:
        BadInput: the URL is wrong.
        psycopg.Error: the server does not answer, or refuses.
    """
    options = connection_options(url)
    for left in reversed(range(_ATTEMPTS)):
        try:
            return await AsyncConnection.connect(
                autocommit=True, prepare_threshold=0, row_factory=cast(Any, dict_row), **options
            )
        except OperationalError as error:
            if not left or (error.sqlstate != NO_CONNECTION_LEFT and not _NONE_LEFT.search(str(error))):
                raise
        await asyncio.sleep(random.uniform(0.5, 1.5) * _PAUSE)
    raise AssertionError("the last attempt returns or raises")


_ATTEMPTS, _PAUSE = 30, 0.5  # of connecting to a server that has no connection left; seconds between two
#: An error of connecting has no number.
_NONE_LEFT = re.compile(r"too many (clients|connections)|connection slots are reserved")


class PostgresSaver(AsyncPostgresSaver):
    """Checkpoints whose threads have names of their own inside `scope`; nobody else sees the difference.

    Attributes:
        scope: what the names begin with in the tables.
        url: of the database.
        locks: advisory locks that its session holds; a session that is lost has lost them.
    """

    scope: str = ""
    url: str = ""
    locks: int = 0

    async def reopen(self) -> None:
        """Connect anew where the server was restarted; called by whoever holds `lock`, before a first statement.

        While something that holds an advisory lock is under way nothing is: it must end before others go on.

        Raises:
            StoreGone: the server does not answer, or the session was lost in what holds a lock.
        """
        connection: AsyncConnection[Any] = cast(AsyncConnection[Any], self.conn)
        try:
            if not connection.closed:
                await connection.execute("select 1")
                return
        except OperationalError:
            pass
        if self.locks:
            raise gone(self.url, "the session was lost")
        try:
            fresh = await connect(self.url)
        except OperationalError as error:
            raise gone(self.url, str(error)) from error
        await connection.close()  # one that broke is not closed by itself
        self.conn = fresh

    async def is_set_up(self) -> bool:
        """Whether the tables are there and none of `MIGRATIONS` is missing."""
        if not (await self._rows("select to_regclass('checkpoint_migrations') is not null as found"))[0]:
            return False
        last = (await self._rows("select coalesce(max(v), -1) as found from checkpoint_migrations"))[0]
        return int(last) >= len(self.MIGRATIONS) - 1

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `BaseCheckpointSaver.aget_tuple`."""
        found = await super().aget_tuple(self._inside(config))
        return None if found is None else self._told(found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `BaseCheckpointSaver.alist`; without a thread, of all threads of the scope."""
        inside = config and self._inside(config)
        count = 0
        async for found in super().alist(
            inside, filter=filter, before=before, limit=limit if inside else None
        ):
            if count == limit:
                return
            if str(found.config["configurable"]["thread_id"]).startswith(self.scope):
                count += 1
                yield self._told(found)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `BaseCheckpointSaver.aput`."""
        return self._outside(await super().aput(self._inside(config), checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `BaseCheckpointSaver.aput_writes`."""
        await super().aput_writes(self._inside(config), writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `BaseCheckpointSaver.adelete_thread`."""
        await super().adelete_thread(self.scope + thread_id)

    async def make_room(self, largest: int, *, keep: str) -> None:
        """Forget the oldest eighth of the threads, and again, until the others take no more than `largest` bytes."""
        while int((await self._rows(_SIZE, self.scope, self.scope))[0]) > largest:
            names = [str(each)[len(self.scope) :] for each in await self._rows(_OLDEST, self.scope)]
            others = [name for name in names if name != keep]
            for name in others[: max(1, len(others) // 8)]:
                await self.adelete_thread(name)
            if not others:
                return

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        async with self._cursor() as cursor:
            await cursor.execute(sql, values)
            return [row["found"] for row in await cursor.fetchall()]

    def _told(self, found: CheckpointTuple) -> CheckpointTuple:
        parent = found.parent_config and self._outside(found.parent_config)
        return found._replace(config=self._outside(found.config), parent_config=parent)

    def _inside(self, config: RunnableConfig) -> RunnableConfig:
        return self._named(config, self.scope + str(config["configurable"]["thread_id"]))

    def _outside(self, config: RunnableConfig) -> RunnableConfig:
        return self._named(config, str(config["configurable"]["thread_id"]).removeprefix(self.scope))

    def _named(self, config: RunnableConfig, thread: str) -> RunnableConfig:
        return {**config, "configurable": {**config["configurable"], "thread_id": thread}}


@asynccontextmanager
async def open_saver(url: str, scope: str, serde: SerializerProtocol) -> AsyncIterator[PostgresSaver]:
    """Checkpoints in a database, as `checkpoints.open_store` says; on a connection of before where one is kept.

    Raises:
        BadInput: the URL is wrong.
        psycopg.Error: the server does not answer, or refuses.
    """
    kept = connections()
    known = await kept.take(url)
    database = PostgresSaver(known or await connect(url), serde=serde)
    database.scope, database.url = scope, url
    try:
        if known is None:
            await _setup(database)
        yield database
        await kept.give(url, database.conn)  # another one than at first, where it broke
    except BaseException:  # whatever is under way in it, and each lock that it holds, ends with it
        await cast(AsyncConnection[Any], database.conn).close()
        raise


async def _setup(database: PostgresSaver) -> None:
    """Make the tables; processes that do it at once would trip over each other, so one after the other does.

    Nobody waits inside a statement: making an index waits for all statements that run, and both would wait for ever.
    Where they are up to date nothing is locked: it happens for each new connection.
    """
    if await database.is_set_up():
        return
    while not (await database._rows("select pg_try_advisory_lock(%s) as found", SETUP_LOCK))[0]:
        await asyncio.sleep(random.uniform(0.01, 0.1))
    try:
        await database.setup()
    finally:
        await database._rows("select pg_advisory_unlock(%s) as found", SETUP_LOCK)

"""Checkpoints of searches through one open connection: a step is one transaction."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.sqlite import SqliteSaver

from imagescope_agent.runs.checkpoints import (
    PATIENCE,
    ReadOnly,
    explained,
    limit,
    plain_serializer,
    require_store,
    require_writable,
)

LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
AGAIN = 0.01  # seconds until a store is asked again while another process writes
MOMENT = 0.05  # seconds of a run's steps without a model call that a kill may lose

_Place = tuple[str, str | None]


class _Recording:
    """A cursor that keeps statements, with values that nobody can change, until they are executed."""

    def __init__(self) -> None:
        self._statements: list[tuple[str, Sequence[Any]]] = []

    def execute(self, query: str, values: Sequence[Any]) -> None:
        """Keep a statement."""
        self._statements.append((query, values))

    def replay(self, connection: sqlite3.Connection) -> None:
        """Execute them."""
        for query, values in self._statements:
            connection.execute(query, values)


_RECORDING: ContextVar[_Recording | None] = ContextVar("recording", default=None)


class StepSaver(SqliteSaver):
    """Checkpoints in an open SQLite database, for concurrent runs in any event loop.

    What the tasks of a step wrote is held in memory until the step's checkpoint, which has it all, takes its place, or
    until `flush` writes it. A step that asked no model and ends within a moment after the last written one is written
    with the next: a transaction takes longer than such a step. A kill loses one step and such a moment; a power cut
    may undo the last ones, and never harms the file.

    Every method raises:
        ReadOnly: the file can no longer be written.
        BadInput: it is damaged, or another process writes for too long.

    Args:
        path: of the database; its schema is checked by the caller.
    """

    def __init__(self, path: Path) -> None:
        base = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
        weakref.finalize(self, base.close)
        self._path = path
        super().__init__(base, serde=plain_serializer())
        self.setup()
        base.execute("pragma trusted_schema=off")
        base.execute("pragma synchronous=normal")
        base.execute("pragma busy_timeout=0")  # it is waited for without blocking the event loop
        #: By thread: the checkpoint after which tasks wrote, and how that is written.
        self._waiting: defaultdict[str, list[tuple[_Place | None, Callable[[], object]]]] = defaultdict(list)
        #: By thread: when it was last written, and how many model calls it had made.
        self._written: dict[str, tuple[float, int]] = {}

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[Any]:
        """A cursor inside the transaction of whoever holds the lock, or one that keeps what is written later."""
        if (recording := _RECORDING.get()) is not None:
            yield recording
            return
        cursor = self.conn.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `BaseCheckpointSaver.aget_tuple`."""
        await self.flush(_thread(config))
        with explained(self._path), self.lock:
            return self.get_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `BaseCheckpointSaver.aput`; it has what the tasks of the step wrote, which is not written again."""
        thread, place = _thread(config), _place(config)
        token = _RECORDING.set(recording := _Recording())
        try:
            self.put(config, checkpoint, metadata, new_versions)
        finally:
            _RECORDING.reset(token)
        waiting = [each for each in self._waiting.pop(thread, []) if each[0] != place]
        self._waiting[thread] = [*waiting, (None, lambda: recording.replay(self.conn))]
        now, calls = time.monotonic(), _calls(checkpoint)
        last, before = self._written.get(thread, (0.0, 0))
        if calls is None or calls != before or now - last > MOMENT:
            await self.flush(thread)
            self._written[thread] = now, calls or 0
        names = {"thread_id": thread, "checkpoint_ns": place[0], "checkpoint_id": checkpoint["id"]}
        return {"configurable": names}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `BaseCheckpointSaver.aput_writes`, where the step does not end."""
        put = self.put_writes
        self._waiting[_thread(config)].append(
            (_place(config), lambda: put(config, writes, task_id, task_path))
        )

    async def adelete_thread(self, thread_id: str) -> None:
        """As `BaseCheckpointSaver.adelete_thread`."""
        await self._transaction([lambda: self.delete_thread(thread_id)])

    async def end(self, thread: str) -> None:
        """Write what waits of a run that goes on no further."""
        self._written.pop(thread, None)
        try:
            await self.flush(thread)
        finally:
            self._waiting.pop(thread, None)

    async def flush(self, thread: str) -> None:
        """Write what waits for a checkpoint of the thread, as after an error."""
        if waiting := self._waiting.pop(thread, []):
            try:
                with explained(self._path):
                    await self._transaction([write for _, write in waiting])
            except (asyncio.CancelledError, KeyboardInterrupt):
                self._waiting[thread][:0] = waiting  # written when the run ends
                raise

    async def _transaction(self, writes: Sequence[Callable[[], object]]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with self.lock:
                    self.conn.execute("begin immediate")
                    try:
                        for write in writes:
                            write()
                        self.conn.execute("commit")
                    except BaseException:
                        if self.conn.in_transaction:  # a full disk has already rolled it back
                            self.conn.execute("rollback")
                        raise
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith(LOCKED) or time.monotonic() > end:
                    raise
                await asyncio.sleep(AGAIN)
            else:
                return

    def threads(self) -> list[str]:
        """The threads, those that were written last at the end."""
        # ids of checkpoints rise with time
        query = "select thread_id from checkpoints group by thread_id order by max(checkpoint_id)"
        with self.lock:
            return [str(row[0]) for row in self.conn.execute(query)]

    def schema_version(self) -> int:
        """Changes whenever tables, triggers or views do."""
        with self.lock:
            return int(self.conn.execute("pragma schema_version").fetchone()[0])

    def used(self) -> int:
        """Bytes of what is kept."""
        with self.lock:
            pages, free, size = (
                self.conn.execute(f"pragma {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)


async def make_room(saver: StepSaver, largest: int, *, keep: str = "") -> int:
    """Forget the oldest eighth of the threads, and again, until the others take no more than `largest` bytes.

    Args:
        saver: the store.
        largest: bytes.
        keep: a thread that stays whatever its age.

    Returns:
        How many were forgotten.
    """
    forgotten = 0
    while saver.used() > largest:
        threads = [name for name in saver.threads() if name != keep]
        for thread in threads[: max(1, len(threads) // 8)]:
            await saver.adelete_thread(thread)
            forgotten += 1
        if not threads:
            break
    return forgotten


class RunStore:
    """The file that searches are kept in, opened once, and anew when it was replaced or given another schema.

    Args:
        path: the SQLite file; None keeps nothing.
        required: whether a place that takes nothing is an error.
    """

    def __init__(self, path: Path | None, *, required: bool) -> None:
        self._path, self._required = path, required
        self._lock = threading.Lock()
        self._saver: StepSaver | None = None
        self._opened: tuple[int, ...] = ()

    @asynccontextmanager
    async def keeping(self, run: str) -> AsyncIterator[tuple[StepSaver | None, str]]:
        """The checkpoints to keep a run in; None where nothing is kept, and the reason where the place is read-only.

        Raises:
            ReadOnly: the file cannot be written and is `required`.
            BadInput: it is no such store.
        """
        if self._path is None:
            yield None, ""
            return
        try:
            saver = self._open(self._path)
        except ReadOnly as error:
            if self._required:
                raise
            yield None, str(error)
            return
        with explained(self._path):
            await make_room(saver, limit(), keep=run)
        try:
            yield saver, ""
        finally:
            await saver.end(run)

    def _open(self, path: Path) -> StepSaver:
        with explained(path), self._lock:
            require_writable(path)
            if self._saver is None or self._opened != (*_identity(path), self._saver.schema_version()):
                require_store(path)
                self._saver = StepSaver(path)
                self._opened = *_identity(path), self._saver.schema_version()
            return self._saver


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def _place(config: RunnableConfig) -> _Place:
    """Which checkpoint, of which graph in graphs."""
    found = config["configurable"]
    return str(found.get("checkpoint_ns", "")), found.get("checkpoint_id")


def _calls(checkpoint: Checkpoint) -> int | None:
    """How many model calls a run has made; None where its state does not say so."""
    usage = checkpoint["channel_values"].get("usage")
    return None if usage is None else sum(entry["calls"] for entry in usage)


def _identity(path: Path) -> tuple[int, ...]:
    """What tells a file from another of the same name, and a process from one that was forked from it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, os.getpid()

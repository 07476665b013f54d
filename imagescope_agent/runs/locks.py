"""One turn at a time in a conversation, also between processes that share a store, in order of arrival.

A lock, and a place in the queue for it, lives as long as its process: a killed one leaves neither behind.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from imagescope_agent.errors import BackendUnavailable, BadInput

LOCK_TIMEOUT = 300.0  # seconds to wait for a turn of another process
_PAUSE = 0.02
_Value = TypeVar("_Value")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@asynccontextmanager
async def file_lock(folder: Path, name: str, *, timeout: float = LOCK_TIMEOUT) -> AsyncIterator[None]:
    """Hold `folder`/`name`.lock; beside an SQLite store.

    Raises:
        BackendUnavailable: another process holds it for longer than `timeout` seconds.
        BadInput: the folder is a link to another, or cannot be used.
    """
    if link := next(
        (each for each in (folder.parent, folder) if each.suffix == ".locks" and each.is_symlink()), None
    ):
        raise BadInput(f"{str(link)!r} is a link; remove it, or keep conversations elsewhere with --store")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    queue, path = FileQueue(folder / f"{name}.waiting"), folder / f"{name}.lock"
    held: list[int] = []

    async def attempt() -> bool:
        try:
            if queue.is_first() and (handle := _hold(path)) is not None:
                held.append(handle)
            else:
                queue.join()
        except FileNotFoundError as error:  # the last one in the queue took its folder away at this moment
            if not folder.is_dir():
                raise _unusable(path, error) from error
        except OSError as error:
            raise _unusable(path, error) from error
        return bool(held)

    try:
        await _until(attempt, name, timeout)
    finally:
        queue.leave()
    try:
        yield
    finally:
        os.close(held[0])


class FileQueue:
    """Who waits for a lock: a file each, numbered by arrival and locked by its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name, self._handle = "", -1

    def is_first(self) -> bool:
        """Whether no living process came before; those of dead ones are removed."""
        for name in self._names():
            if name == self._name:
                return True
            handle = _hold(self._folder / name)
            if handle is None:
                return False
            with suppress(FileNotFoundError):
                (self._folder / name).unlink()
            os.close(handle)
        return True

    def join(self) -> None:
        """Queue up, where that is not done yet."""
        if self._name:
            return
        self._folder.mkdir(exist_ok=True)
        number = max((int(each.split("-")[0]) for each in self._names()), default=0) + 1
        own = f"{os.getpid()}-{id(self)}"
        handle = os.open(self._folder / f"new-{own}", _FLAGS, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # seen by others only once it is locked, or it would look like a dead one's
        self._name, self._handle = f"{number:012}-{own}", handle
        os.rename(self._folder / f"new-{own}", self._folder / self._name)

    def leave(self) -> None:
        """Give up the place in the queue."""
        if self._name:
            with suppress(OSError):
                (self._folder / self._name).unlink()
            os.close(self._handle)
            self._name = ""
            with suppress(OSError):
                self._folder.rmdir()  # the last one, unless somebody joins at this moment

    def _names(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(name for name in os.listdir(self._folder) if name.split("-")[0].isdecimal())
        return []


def _hold(path: Path) -> int | None:
    """The handle of a locked file; None where another process holds it, or removed it meanwhile."""
    handle = os.open(path, _FLAGS, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _unusable(path: Path, error: OSError) -> BadInput:
    why = error.strerror or str(error)
    return BadInput(
        f"cannot lock a conversation with {str(path)!r}: {why}; remove it, or name another --store"
    )


@asynccontextmanager
async def database_lock(saver: Any, name: str, *, timeout: float = LOCK_TIMEOUT) -> AsyncIterator[None]:
    """Hold an advisory lock of the PostgreSQL session behind a store.

    Raises:
        BackendUnavailable: another process holds it for longer than `timeout` seconds.
    """
    digest = hashlib.sha256(name.encode()).digest()
    key, queue = int.from_bytes(digest[:8], "big", signed=True), DatabaseQueue(saver, digest[8:12])
    held = False

    async def attempt() -> bool:
        nonlocal held
        if not held and not queue.joined:
            async with saver.lock:
                await saver.reopen()
        if await queue.is_first():
            held = bool(await _fetch(saver, "SELECT pg_try_advisory_lock(%s) AS found", key))
            saver.locks += held
        if not held:
            await queue.join()
        return held

    try:
        try:
            # cancelled in a statement, it would not be known whether the session holds the lock, and for ever
            await _until(lambda: _settled(attempt()), name, timeout)
        finally:
            await _settled(queue.leave())
        yield
    finally:
        if held:
            saver.locks -= 1
        if held and not saver.conn.closed:  # else the session is lost, and its locks with it
            await _settled(_fetch(saver, "SELECT pg_advisory_unlock(%s) AS found", key))


class DatabaseQueue:
    """Who waits for a lock: an advisory lock each, numbered by arrival, of the session that waits.

    Args:
        saver: the store with the session.
        lock: four bytes that name the lock that is waited for.
    """

    def __init__(self, saver: Any, lock: bytes) -> None:
        self._saver, self._lock = saver, int.from_bytes(lock, "big") % 2**31
        self._number = 0

    @property
    def joined(self) -> bool:
        """Whether it has a place in the queue."""
        return bool(self._number)

    async def is_first(self) -> bool:
        """Whether nobody came before."""
        first = await self._seen("min")
        return not first or first == self._number

    async def join(self) -> None:
        """Queue up, where that is not done yet."""
        while not self._number:
            number = (await self._seen("max") or 0) + 1
            taken = "SELECT pg_try_advisory_lock(%s, %s) AS found"
            self._number = number if await _fetch(self._saver, taken, self._lock, number) else 0

    async def leave(self) -> None:
        """Give up the place in the queue."""
        if self._number and not self._saver.conn.closed:
            await _fetch(self._saver, "SELECT pg_advisory_unlock(%s, %s) AS found", self._lock, self._number)
            self._number = 0

    async def _seen(self, which: str) -> int:
        numbers = (
            f"SELECT {which}(objid::bigint) AS found FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 "
            "AND classid::bigint = %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(await _fetch(self._saver, numbers, self._lock) or 0)


async def _fetch(saver: Any, sql: str, *values: Any) -> Any:
    async with saver.lock:
        cursor = await saver.conn.execute(sql, values)
        row = await cursor.fetchone()
    return row["found"]


async def _settled(work: Coroutine[Any, Any, _Value]) -> _Value:
    """The value of something that is done to its end, whether or not the task that awaits it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # the cancellation is what is told
        raise


async def _until(attempt: Callable[[], Awaitable[bool]], name: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not await attempt():
        if time.monotonic() > deadline:
            raise BackendUnavailable(
                f"another process is answering in conversation {name!r}; try again when its turn is over"
            )
        await asyncio.sleep(_PAUSE)

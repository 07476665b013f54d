"""One turn at a time in a conversation, also between processes that share a store.

A lock lives as long as its process: a killed one leaves none behind.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BackendUnavailable, BadInput

LOCK_TIMEOUT = 300.0  # seconds to wait for a turn of another process
_PAUSE = 0.05


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
    path = folder / f"{name}.lock"
    handles: list[int] = []

    async def attempt() -> bool:
        try:
            handle = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:  # not a file that was removed
                handles.append(handle)
                return True
        except BlockingIOError:
            pass
        os.close(handle)
        return False

    await _until(attempt, name, timeout)
    try:
        yield
    finally:
        os.close(handles[0])


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
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)

    async def attempt() -> bool:
        async with saver.lock:
            cursor = await saver.conn.execute("SELECT pg_try_advisory_lock(%s) AS held", (key,))
            row = await cursor.fetchone()
        return bool(row["held"])

    await _until(attempt, name, timeout)
    try:
        yield
    finally:
        async with saver.lock:
            await saver.conn.execute("SELECT pg_advisory_unlock(%s)", (key,))


async def _until(attempt: Callable[[], Awaitable[bool]], name: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not await attempt():
        if time.monotonic() > deadline:
            raise BackendUnavailable(
                f"another process is answering in conversation {name!r}; try again when its turn is over"
            )
        await asyncio.sleep(_PAUSE)

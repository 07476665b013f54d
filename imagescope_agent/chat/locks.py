"""One turn at a time in a conversation, also between processes that share a store.

A lock lives as long as the process that holds it: after a kill nobody waits for the dead.
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

PATIENCE = 300.0  # seconds to wait for a turn of another process
_PAUSE = 0.05


@asynccontextmanager
async def file_lock(folder: Path, name: str, *, patience: float = PATIENCE) -> AsyncIterator[None]:
    """Hold `folder`/`name`.lock; beside an SQLite store.

    Raises:
        BackendUnavailable: another process holds it for longer than `patience` seconds.
        BadInput: the folder is a link to another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise BadInput(f"{str(folder)!r} is a link; remove it, or keep conversations elsewhere with --store")
    path = folder / f"{name}.lock"
    held: list[int] = []

    async def attempt() -> bool:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:  # not a file that was removed
                held.append(handle)
                return True
        except BlockingIOError:
            pass
        os.close(handle)
        return False

    await _until(attempt, name, patience)
    try:
        yield
    finally:
        os.close(held[0])


@asynccontextmanager
async def database_lock(saver: Any, name: str, *, patience: float = PATIENCE) -> AsyncIterator[None]:
    """Hold an advisory lock of the PostgreSQL session behind a store.

    Raises:
        BackendUnavailable: another process holds it for longer than `patience` seconds.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)

    async def attempt() -> bool:
        async with saver.lock:
            cursor = await saver.conn.execute("SELECT pg_try_advisory_lock(%s) AS held", (key,))
            row = await cursor.fetchone()
        return bool(row["held"])

    await _until(attempt, name, patience)
    try:
        yield
    finally:
        async with saver.lock:
            await saver.conn.execute("SELECT pg_advisory_unlock(%s)", (key,))


async def _until(attempt: Callable[[], Awaitable[bool]], name: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not await attempt():
        if time.monotonic() > deadline:
            raise BackendUnavailable(
                f"another process is answering in conversation {name!r}; try again when its turn is over"
            )
        await asyncio.sleep(_PAUSE)

"""Where runs are written down: SQLite beside the index, plain values only."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from imagescope_agent.errors import BadInput

FILE = "runs.sqlite"
PATIENCE = 30.0  # seconds to wait for another process that is writing


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """A checkpoint store in one SQLite file, made when it is not there.

    The allow-list of types is empty: a state holds plain values, and nothing else is ever read back.

    Raises:
        BadInput: the file cannot be written, or is no such store.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        async with aiosqlite.connect(path, timeout=PATIENCE) as connection:
            saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=[]))
            await saver.setup()
            yield saver
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> BadInput:
    return BadInput(
        f"cannot keep the run in {str(path)!r}: {error}; "
        "make room there, or name another file with IMAGESCOPE_RUNS"
    )

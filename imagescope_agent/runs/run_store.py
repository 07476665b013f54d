"""Where searches are kept: a file beside the index, or a database that several processes share."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from imagescope_agent.common.redact import redact
from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import POSTGRES, limit, open_checkpoints, open_store, reading
from imagescope_agent.runs.locks import database_lock
from imagescope_agent.runs.run_graph import run_config
from imagescope_agent.runs.step_saver import RunStore

_EVERY = 50  # runs of a process after which the size of all is looked at


class Runs(Protocol):
    """Where searches are kept."""

    @property
    def place(self) -> str:
        """For messages; "" where nothing is kept."""
        ...

    @property
    def may_come_back(self) -> bool:
        """Whether it may go away in a run and be back soon (`StoreGone`)."""
        ...

    @asynccontextmanager
    def keeping(self, run: str) -> AsyncIterator[tuple[BaseCheckpointSaver[Any] | None, str]]:
        """The checkpoints to keep a run in; None where nothing is kept, with the reason."""
        ...

    async def find(self, run: str) -> CheckpointTuple:
        """The last checkpoint of a run.

        Raises:
            BadInput: no such run is kept.
        """
        ...


def open_runs(place: Path | str | None, location: Path, *, required: bool) -> Runs:
    """Where the searches of a collection are kept.

    Args:
        place: an SQLite file or a "postgresql://..." URL; None keeps nothing.
        location: of the index.
        required: whether a place that takes nothing is an error.
    """
    if place is not None and str(place).startswith(POSTGRES):
        return DatabaseRuns(str(place), scope_of(location))
    return FileRuns(None if place is None else Path(place), required=required)


def scope_of(location: Path) -> str:
    """What tells the searches of one collection in a shared database from those of another."""
    return f"runs:{hashlib.sha256(os.fsencode(real_path(location))).hexdigest()[:12]}:"


class FileRuns(RunStore):
    """Searches in an SQLite file."""

    may_come_back = False

    @property
    def place(self) -> str:
        """See `Runs.place`."""
        return "" if self._path is None else str(self._path)

    async def find(self, run: str) -> CheckpointTuple:
        """See `Runs.find`."""
        if self._path is None or not self._path.is_file():
            raise BadInput(f"there is no run {run!r}: no runs are kept here; search again")
        async with open_checkpoints(self._path) as saver:
            return await _last(saver, run, self.place)


class DatabaseRuns:
    """Searches in PostgreSQL; one process at a time works at a run, and a killed one leaves it to the next.

    Args:
        url: of the database.
        scope: of the collection, see `scope_of`.
    """

    may_come_back = True

    def __init__(self, url: str, scope: str) -> None:
        self._url, self._scope = url, scope
        self._lock, self._count = threading.Lock(), 0

    @property
    def place(self) -> str:
        """See `Runs.place`; without a password."""
        return redact(self._url)

    @asynccontextmanager
    async def keeping(self, run: str) -> AsyncIterator[tuple[BaseCheckpointSaver[Any] | None, str]]:
        """See `Runs.keeping`; waits while another process works at the run.

        Raises:
            StoreGone: the server does not answer.
            BackendUnavailable: another process works at it for too long.
        """
        async with (
            open_store(self._url, scope=self._scope) as saver,
            database_lock(saver, self._scope + run),
        ):
            with self._lock:
                self._count += 1
                due = (self._count - 1) % _EVERY == 0
            if due:
                await saver.make_room(limit(), keep=run)  # type: ignore[attr-defined]
            yield saver, ""

    async def find(self, run: str) -> CheckpointTuple:
        """See `Runs.find`."""
        async with open_store(self._url, scope=self._scope) as saver:
            return await _last(saver, run, self.place)


async def _last(saver: BaseCheckpointSaver[Any], run: str, place: str) -> CheckpointTuple:
    with reading(place):
        kept = await saver.aget_tuple(run_config(run))
    if kept is None:
        raise BadInput(f"there is no run {run!r} in {place!r}; search again")
    return kept

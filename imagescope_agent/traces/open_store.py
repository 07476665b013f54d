"""A store of traces that stays open between runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from imagescope_agent.traces.database import DatabaseTraces
from imagescope_agent.traces.known_places import remember
from imagescope_agent.traces.store import TraceStore


class OpenStore:
    """Opens a store once, and anew when its file was replaced or given another schema, which is then checked."""

    def __init__(self) -> None:
        #: By process: what a thread held at a fork is never released in the new process.
        self._locks: dict[int, threading.Lock] = {}
        self._store: TraceStore | DatabaseTraces | None = None
        self._opened: tuple[object, ...] = ()

    def open(self, path: Path | str, scope: str = "") -> TraceStore | DatabaseTraces:
        """The store in a file, or in a database by its URL; it stays open.

        Args:
            path: where it is.
            scope: of the collection, in a database.

        Raises:
            BadInput, BackendUnavailable: as `TraceStore` and `DatabaseTraces`.
        """
        with self._lock():
            if isinstance(path, str):
                if not isinstance(self._store, DatabaseTraces) or self._opened != (path, scope):
                    self._store, self._opened = DatabaseTraces(path, scope), (path, scope)
                else:
                    self._store.require_answer()  # here, where nobody's event loop waits
                return self._store
            if (store := self._known(path)) is None:
                self._store = store = TraceStore(path)
                self._opened = _identity(path, store)
                remember(path)
            return store

    def known(self, path: Path | str) -> TraceStore | DatabaseTraces | None:
        """The store in a file that `open` opened before and that is still the same; None where it would be opened.

        For an event loop: None as well where that would have to wait for another thread in `open`.
        """
        lock = self._lock()
        if isinstance(path, str) or not lock.acquire(blocking=False):
            return None
        try:
            return self._known(path)
        finally:
            lock.release()

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _known(self, path: Path) -> TraceStore | None:
        store = self._store
        same = isinstance(store, TraceStore) and self._opened == _identity(path, store)
        return store if same else None  # type: ignore[return-value]


def _identity(path: Path, store: TraceStore | DatabaseTraces) -> tuple[object, ...]:
    """What tells a file from another of the same name, and this process from one that it was forked from."""
    try:
        found = path.stat()
    except OSError:
        return ()
    # a file that may no longer be written is opened anew, which says so
    writable = os.access(path, os.W_OK, effective_ids=True) and os.access(
        path.parent, os.W_OK, effective_ids=True
    )
    return path, found.st_dev, found.st_ino, os.getpid(), writable, store.schema_version()

"""Stores of traces that stay open between the runs of a process."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from cachetools import LRUCache

from imagescope_agent.traces.known_places import remember
from imagescope_agent.traces.store import TraceStore

OPEN = 8  # stores; each holds a file

_LOCK = threading.Lock()
_STORES: LRUCache[Path, tuple[tuple[int, ...], TraceStore]] = LRUCache(OPEN)


def open_store(path: Path) -> TraceStore:
    """The store in a file, opened once, and anew when the file was replaced; others may use it at the same time.

    Raises:
        BadInput: as `TraceStore`.
    """
    path = path.absolute()
    with _LOCK:
        found, store = _STORES.get(path, ((), None))
        if store is None or found != _identity(path):
            _STORES.pop(path, None)
            store = TraceStore(path)
            _STORES[path] = _identity(path), store
            remember(path)
        return store


def _identity(path: Path) -> tuple[int, ...]:
    """What tells a file from another of the same name, and this process from one that it was forked from."""
    try:
        found = path.stat()
    except OSError:
        return ()
    # a file that may no longer be written is opened anew, which says so
    return found.st_dev, found.st_ino, os.getpid(), os.access(path, os.W_OK, effective_ids=True)

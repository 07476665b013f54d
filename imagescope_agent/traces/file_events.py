"""The table of events in an SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

HIGHEST = 2**62  # number of an event


class FileEvents:
    """As `write_behind.Events`.

    Args:
        base: an open database with the table `events`, in autocommit mode.
        lock: held by whoever uses the connection.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, base: sqlite3.Connection, lock: threading.Lock) -> None:
        self._base, self._lock = base, lock

    def reserve(self, count: int) -> Sequence[int]:
        """As `Events.reserve`; numbers are reserved in the file, which other processes write as well."""
        with self._transaction():
            row = self._base.execute("select seq from sqlite_sequence where name = 'events'").fetchone()
            if row is None:
                self._base.execute("insert into sqlite_sequence (name, seq) values ('events', 0)")
            first = int(row[0]) if row else 0
            if not 0 <= first < HIGHEST:
                raise sqlite3.DataError("the file counts its events wrongly")
            self._base.execute("update sqlite_sequence set seq = ? where name = 'events'", (first + count,))
        return range(first + 1, first + count + 1)

    def write(self, rows: Sequence[tuple[int, str, float, str, bytes]]) -> None:
        """As `Events.write`."""
        with self._transaction():
            self._base.executemany(
                "insert into events (seq, run, at, kind, data) values (?, ?, ?, ?, ?)", rows
            )

    def passes(self, error: Exception) -> bool:
        """As `Events.passes`: a file that another process writes is waited for by SQLite itself."""
        return False

    def close(self) -> None:
        """As `Events.close`."""
        with self._lock:
            self._base.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._base.execute("begin immediate")
            try:
                yield
                self._base.execute("commit")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("rollback")
                raise

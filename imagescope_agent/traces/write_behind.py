"""Events of traces on their way to SQLite: written together, at the end of a run and otherwise within a moment."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from imagescope_agent.traces.packing import pack

MOMENT = 0.1  # seconds until an event is written at the latest; a killed process loses no more
MOST_WAITING = 256  # events; with one more, whoever adds it writes all
BLOCK = 64  # numbers that are reserved at once
HIGHEST = 2**62  # number of an event
LAST = "end"  # the kind of event that ends a run


class _Event(NamedTuple):
    number: int
    run: str
    at: float
    kind: str
    data: Mapping[str, Any]


class WriteBehind:
    """A bounded queue of events and one thread that writes them, each batch as one transaction.

    Args:
        base: an open database with the table `events`, in autocommit mode.
        lock: held by whoever uses the connection.
    """

    def __init__(self, base: sqlite3.Connection, lock: threading.Lock) -> None:
        self._base, self._lock, self._pid = base, lock, os.getpid()
        self._waiting: list[_Event] = []
        self._lost: dict[str, Exception] = {}  # runs whose events could not be written, until they are told
        self._next = self._reserved = 0
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, run: str, kind: str, data: Mapping[str, Any], at: float | None = None) -> int:
        """Queue an event, which is not changed afterwards; returns its number. The end of a run is written at once.

        Raises:
            sqlite3.Error: the file cannot be written; the events of the run that waited are lost.
            ValueError: an event is too large; as before.
        """
        with self._lock:
            if self._closed:
                raise sqlite3.ProgrammingError("the traces are closed")
            if (error := self._lost.pop(run, None)) is not None:
                raise error
            number = self._number()
            self._waiting.append(_Event(number, run, at or time.time(), kind, data))
            if kind == LAST or len(self._waiting) > MOST_WAITING:
                self._write()
                if (error := self._lost.pop(run, None)) is not None:
                    raise error
            elif not self._wake.is_set():
                self._start()
                self._wake.set()
        return number

    def flush(self) -> None:
        """Write what waits. What cannot be written is told to its runs, by their next event."""
        if self._waiting and self._pid == os.getpid():  # a forked process writes nothing of its parent's
            with self._lock:
                self._write()

    def close(self) -> None:
        """Write what waits and close the database, which stays with the process that opened it."""
        if self._pid != os.getpid():  # its lock may have been held at the fork, for ever
            return
        with self._lock:
            if not self._closed:
                self._write()
            self._closed = True
            self._base.close()
        self._wake.set()

    def _number(self) -> int:
        """The next number; numbers are reserved in the file, which other processes write as well."""
        if self._next == self._reserved:
            self._base.execute("begin immediate")
            try:
                row = self._base.execute("select seq from sqlite_sequence where name = 'events'").fetchone()
                if row is None:
                    self._base.execute("insert into sqlite_sequence (name, seq) values ('events', 0)")
                first = int(row[0]) if row else 0
                if not 0 <= first < HIGHEST:
                    raise sqlite3.DataError("the file counts its events wrongly")
                self._base.execute(
                    "update sqlite_sequence set seq = ? where name = 'events'", (first + BLOCK,)
                )
                self._base.execute("commit")
            except BaseException:
                self._undo()
                raise
            self._next, self._reserved = first + 1, first + BLOCK + 1
        number, self._next = self._next, self._next + 1
        return number

    def _write(self) -> None:
        """Write what waits as one transaction; the lock is held."""
        waiting, self._waiting = self._waiting, []
        try:
            rows = self._packed(waiting)
            self._base.execute("begin immediate")
            self._base.executemany(
                "insert into events (seq, run, at, kind, data) values (?, ?, ?, ?, ?)", rows
            )
            self._base.execute("commit")
        except sqlite3.Error as error:
            self._undo()
            self._lost |= {event.run: error for event in waiting}
        except BaseException:  # interrupted: they go with the next ones
            self._undo()
            self._waiting[:0] = waiting
            raise

    def _packed(self, events: Sequence[_Event]) -> list[tuple[Any, ...]]:
        rows = []
        for event in events:
            try:
                rows.append((*event[:4], pack(event.data)))
            except (TypeError, ValueError, RecursionError) as error:
                self._lost[event.run] = error
        return rows

    def _undo(self) -> None:
        if self._base.in_transaction:
            self._base.execute("rollback")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="imagescope-traces", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            time.sleep(MOMENT)
            self._wake.clear()
            self.flush()

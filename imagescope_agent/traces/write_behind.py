"""Events of traces on their way to a store: written together, at the end of a run and otherwise within a moment."""

from __future__ import annotations

import _thread
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from imagescope_agent.traces.packing import pack

MOMENT = 0.1  # seconds until an event is written at the latest; a killed process loses no more
MOST_WAITING = 256  # events; with one more, whoever adds it writes all
BLOCK = 64  # numbers that are reserved at once
LONGEST_WAIT = 20.0  # seconds that closing waits for a write that goes on
FIRST = "resume"  # the kind of event that goes on with a run, perhaps of another process
LAST = "end"  # the kind of event that ends a run

_log = logging.getLogger(__name__)


class _Event(NamedTuple):
    number: int
    run: str
    at: float
    kind: str
    data: Mapping[str, Any]


class Events(Protocol):
    """The table of events of a store, over one connection of its own or under a lock of its own.

    Attributes:
        errors: what its methods raise where the store does not take events.
    """

    errors: tuple[type[Exception], ...]

    def reserve(self, count: int) -> Sequence[int]:
        """So many numbers that nobody else gets, ascending, above all that were given before."""
        ...

    def write(self, rows: Sequence[tuple[int, str, float, str, bytes]]) -> None:
        """Write (number, run, at, kind, data) as one transaction; what is there already stays."""
        ...

    def passes(self, error: Exception) -> bool:
        """Whether the store may take the same events a little later."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class WriteBehind:
    """A bounded queue of events and one thread that writes them, each batch as one transaction.

    Args:
        events: where they are written.
    """

    def __init__(self, events: Events) -> None:
        self._events, self._pid = events, os.getpid()
        self._lock = threading.Lock()  # of the queue
        #: Held by whoever writes, which may take long; the queue goes on meanwhile.
        self._turn = threading.RLock()
        self._waiting: list[_Event] = []
        self._lost: dict[str, Exception] = {}  # runs whose events could not be written, until they are told
        self._numbers: list[int] = []  # reserved, the next one last
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, run: str, kind: str, data: Mapping[str, Any], at: float | None = None) -> int:
        """Queue an event, which is not changed afterwards; returns its number. The end of a run is written at once.

        Raises:
            Exception: one of `Events.errors`: it cannot be written; the events of the run that waited are lost.
            ValueError: an event is too large; as before.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the traces are closed")
            self._tell(run)
            number = self._number(anew=kind == FIRST)
            self._waiting.append(_Event(number, run, at or time.time(), kind, data))
            now = kind == LAST or len(self._waiting) > MOST_WAITING
            if not now and not self._wake.is_set():
                self._start()
                self._wake.set()
        if now:
            self._write(now=True, ending=run if kind == LAST else "")
            with self._lock:
                self._tell(run)
        return number

    def flush(self) -> None:
        """Write what waits. What cannot be written is told to its runs, by their next event."""
        if self._pid == os.getpid():  # a forked process writes nothing of its parent's
            self._write()

    def close(self) -> None:
        """Write what waits and close the store's connection, which stays with the process that opened it.

        Where a write goes on for more than `LONGEST_WAIT` its thread does both, if the process lives that long.
        """
        if self._pid != os.getpid():  # its lock may have been held at the fork, for ever
            return
        if self._thread is not None and self._thread.ident == threading.get_ident():
            _thread.start_new_thread(
                self.close, ()
            )  # garbage collected, perhaps while this thread has its turn
            return
        with self._lock:
            self._closed = True
        self._wake.set()
        if not self._finish(LONGEST_WAIT):
            _log.warning("the store of traces does not answer; the last events of its runs may be lost")

    def _finish(self, patience: float) -> bool:
        """Write what waits and close the connection; False where another write goes on for longer than `patience`."""
        if not self._turn.acquire(timeout=patience):
            return False
        try:
            self._write(now=True)
            self._events.close()
        finally:
            self._turn.release()
        return True

    def _tell(self, run: str) -> None:
        if (error := self._lost.pop(run, None)) is not None:
            raise error

    def _number(self, *, anew: bool) -> int:
        """The next number; with `anew` one above all that other processes have."""
        if anew or not self._numbers:
            self._numbers = [*self._events.reserve(BLOCK)][::-1]
        return self._numbers.pop()

    def _write(self, *, now: bool = False, ending: str = "") -> None:
        """Write what waits as one transaction.

        Args:
            now: without it, what may be written later goes on waiting.
            ending: the run whose events are not written later; those of others may be.
        """
        with self._turn:
            with self._lock:
                waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            try:
                self._events.write(self._packed(waiting))
            except self._events.errors as error:
                with self._lock:
                    self._put_back(waiting, error, now=now, ending=ending)
            except BaseException:  # interrupted: they go with the next ones
                with self._lock:
                    self._waiting[:0] = waiting
                raise

    def _put_back(self, events: Sequence[_Event], error: Exception, *, now: bool, ending: str) -> None:
        """Let events wait again that the store may take later; the runs of the others are told."""
        later = [event for event in events if event.run != ending] if ending or not now else []
        if not self._events.passes(error) or len(later) > MOST_WAITING:
            later = []
        kept = {event.number for event in later}
        self._lost |= {event.run: error for event in events if event.number not in kept}
        if later:
            self._waiting[:0] = later
            self._wake.set()

    def _packed(self, events: Sequence[_Event]) -> list[tuple[int, str, float, str, bytes]]:
        rows = []
        for event in events:
            try:
                rows.append((event.number, event.run, event.at, event.kind, pack(event.data)))
            except (TypeError, ValueError, RecursionError) as error:
                self._lost[event.run] = error
        return rows

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
        self._finish(threading.TIMEOUT_MAX)

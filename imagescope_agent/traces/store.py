"""Store of traces: one append-only SQLite file beside the checkpoints, bounded in size."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import (
    TRACE_TABLES,
    beside,
    connect_for_reading,
    local_path,
    require_own_tables,
    require_tables_only,
    use_write_ahead_log,
)
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.runs.checkpoints import POSTGRES
from imagescope_agent.traces.file_events import FileEvents
from imagescope_agent.traces.packing import Unpacker, clean, moment, pack, status_of
from imagescope_agent.traces.write_behind import WriteBehind

FILE = "traces.sqlite"
VARIABLE = "IMAGESCOPE_TRACES"
LARGEST = 256 * 1024 * 1024  # bytes; the oldest runs make room
LOCK_TIMEOUT = 5.0  # seconds to wait for another process that is writing
MOST_EVENTS = 20_000  # of a run
OFF = ("off", "0", "false", "no")

_SCHEMA = """
create table if not exists runs (
    id text primary key, thread text not null, turn integer not null, started real not null,
    graph text not null, query text not null, about blob not null
);
create index if not exists runs_by_thread on runs (thread, turn);
create index if not exists runs_by_time on runs (started);
create table if not exists events (
    seq integer primary key autoincrement, run text not null, at real not null, kind text not null, data blob not null
);
create index if not exists events_by_run on events (run, kind);
"""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A run in the list of runs; `status` is "running or cut off" where no end was written."""

    id: str
    started: float
    graph: str
    query: str
    status: str


class TraceStore:
    """The traces in one file, created if missing. Events are only appended; the oldest runs are deleted to make room.

    A run is written when it begins, its events a moment later (see `write_behind`).

    Args:
        path: the SQLite file.
        largest: bytes it may hold.
        reading: traces that are there are only read; nothing is created or written.

    Raises:
        BadInput: the file cannot be written, or is no such store.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST, reading: bool = False) -> None:
        self.path, self._largest, self._lock = path, largest, threading.Lock()
        try:
            if not reading:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._base = sqlite3.connect(
                    path, timeout=LOCK_TIMEOUT, check_same_thread=False, isolation_level=None
                )
            else:
                self._base = connect_for_reading(path, LOCK_TIMEOUT)
            require_tables_only(self._base)
            require_own_tables(self._base, TRACE_TABLES, there=reading)
            if not reading:
                # survives a killed process; only a power cut may lose the last events
                use_write_ahead_log(self._base, LOCK_TIMEOUT)
                self._base.execute("pragma synchronous=off")
                self._base.executescript(_SCHEMA)
            self._behind = WriteBehind(FileEvents(self._base, self._lock))
            weakref.finalize(self, self._behind.close)  # of a store that lives as long as a served graph
        except (OSError, sqlite3.Error) as error:
            if hasattr(self, "_base"):
                self._base.close()
            raise BadInput(
                f"cannot {'read' if reading else 'keep'} traces in {str(path)!r}: {error}; "
                f"name another file with {'--store' if reading else f'{VARIABLE}, or off'}"
            ) from error

    def close(self) -> None:
        """Write what waits and close the file."""
        self._behind.close()

    def schema_version(self) -> int:
        """Changes whenever tables, triggers or views do; -1 where that cannot be read."""
        try:
            with self._lock:
                return int(self._base.execute("pragma schema_version").fetchone()[0])
        except sqlite3.Error:
            return -1

    def start(self, thread: str, *, graph: str, query: str, about: Mapping[str, Any]) -> str:
        """Begin the trace of a turn on a thread; returns its id, "THREAD.TURN"."""
        with self._lock:
            self._make_room()
            last = self._base.execute("select max(turn) from runs where thread = ?", (thread,)).fetchone()[0]
            turn = (last or 0) + 1
            values = (f"{thread}.{turn}", thread, turn, time.time(), graph, clean(query), pack(about))
            self._base.execute("insert into runs values (?, ?, ?, ?, ?, ?, ?)", values)
        return f"{thread}.{turn}"

    def newest_of(self, thread: str) -> str | None:
        """The id of a thread's last turn."""
        with self._reading():
            row = self._base.execute(
                "select id from runs where thread = ? order by turn desc limit 1", (thread,)
            ).fetchone()
        return None if row is None else str(row[0])

    def holds(self, run: str) -> bool:
        """Whether there is a run, or a thread, of that name."""
        with self._reading():
            found = self._base.execute("select 1 from runs where id = ? or thread = ? limit 1", (run, run))
            return found.fetchone() is not None

    def append(self, run: str, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> int:
        """Add an event; returns its number. It is written with others, with the end of the run at the latest."""
        return self._behind.add(run, kind, data, at)

    def runs(self, limit: int = 1000) -> list[Listed]:
        """The newest runs, newest first.

        Raises:
            BadInput: the file is damaged.
        """
        with self._reading():
            rows = self._base.execute(
                "select substr(id, 1, 200), started, substr(graph, 1, 200), substr(query, 1, 2000), "
                "(select data from events where run = runs.id and kind = 'end' order by seq desc limit 1) "
                "from runs order by started desc limit ?",
                (limit,),
            )
            return [
                Listed(
                    id=str(run),
                    started=moment(started),
                    graph=str(graph),
                    query=str(query),
                    status=status_of(end),
                )
                for run, started, graph, query, end in rows
            ]

    def read(self, run: str | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A run and its events in order; `run` is a trace id, a thread (its last turn), or None for the newest.

        Raises:
            BadInput: there is no such run, or it is damaged.
        """
        with self._reading():
            return self._read(run)

    def _read(self, run: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        columns = "id, thread, turn, started, graph, query, about"
        if run is None:
            row = self._base.execute(f"select {columns} from runs order by started desc limit 1").fetchone()
        else:
            row = self._base.execute(
                f"select {columns} from runs where id = ? or thread = ? order by id = ? desc, turn desc limit 1",
                (run, run, run),
            ).fetchone()
        if row is None:
            raise unknown_run(run, str(self.path), self.runs(50))
        unpack = Unpacker()
        head = head_of(row, unpack, str(self.path))
        events = self._base.execute(
            "select seq, at, kind, data from events where run = ? order by seq", (head["id"],)
        )
        rows = events.fetchmany(MOST_EVENTS + 1)
        if len(rows) > MOST_EVENTS:
            raise ValueError(f"a run has more than {MOST_EVENTS} events")
        return head, [
            {**unpack(data), "seq": int(seq), "at": moment(at), "kind": str(kind)}
            for seq, at, kind, data in rows
        ]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn the errors of a damaged or forged file into one line.

        Raises:
            BadInput: in place of them.
        """
        self._behind.flush()
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise BadInput(
                f"the traces in {str(self.path)!r} are damaged ({shorten(str(error))}); delete that file, "
                f"or name another with --store or {VARIABLE}"
            ) from error

    def _make_room(self) -> None:
        pages, free, size = (
            self._base.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size <= self._largest:
            return
        oldest = "(select id from runs order by started limit (select max(1, count(*) / 8) from runs))"
        self._base.execute(f"delete from events where run in {oldest}")
        self._base.execute(f"delete from runs where id in {oldest}")


def unknown_run(run: str | None, place: str, known: Sequence[Listed]) -> BadInput:
    """The error where a store has no such run."""
    names = [listed.id for listed in known]
    what = "no run at all; search first" if run is None else f"no run {run!r}; {suggest(run, names)}"
    return BadInput(f"{place!r} holds {what}")


def head_of(row: Sequence[Any], unpack: Unpacker, place: str) -> dict[str, Any]:
    """What is known of a run as a whole, from its row: id, thread, turn, started, graph, query, about.

    Raises:
        ValueError, TypeError: it is damaged.
    """
    names = ("id", "thread", "turn", "started", "graph", "query")
    head = {**unpack(row[6]), **dict(zip(names, row[:6], strict=True))}
    head |= {"started": moment(row[3]), "store": place}
    if not all(isinstance(head[name], str) for name in ("id", "thread", "graph", "query")):
        raise ValueError("a name is no text")
    return head


def place(index: Path, given: Path | str | bool | None = None) -> Path | str | None:
    """Where the traces of an index go: as given, else IMAGESCOPE_TRACES ("off", or a place), else beside the index.

    Args:
        index: folder of the index.
        given: a file, or a "postgresql://..." URL; True or None for the default; False for no traces.

    Raises:
        BadInput: it is a link that leads out of the index.
    """
    if given is False:
        return None
    named = os.environ.get(VARIABLE) if given is None or given is True else given
    if str(named).lower() in OFF:
        return None
    if named and str(named).startswith(POSTGRES):
        return str(named)
    return local_path(os.path.expanduser(str(named))) if named else beside(index, FILE)

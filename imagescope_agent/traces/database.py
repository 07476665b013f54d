"""Store of traces in PostgreSQL, which several collections and services share (extra `postgres`)."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.traces.database_session import DatabaseEvents, Session, text
from imagescope_agent.traces.packing import Unpacker, clean, moment, pack, status_of
from imagescope_agent.traces.store import MOST_EVENTS, Listed, head_of, unknown_run
from imagescope_agent.traces.write_behind import WriteBehind

LARGEST = 4 * 2**30  # bytes of events; the oldest eighth of the runs makes room
PATIENCE = 20.0  # seconds a statement may take
_EVERY = 100  # runs of a process after which the size of all is looked at
_LOCK = 0x74726163  # any number that is always the same: whoever makes the tables holds it
_SCHEMA = """
create table if not exists imagescope_trace_runs (
    id text not null, scope text not null, thread text not null, turn bigint not null,
    started double precision not null, graph text not null, query text not null, about bytea not null,
    primary key (scope, id)
);
create index if not exists imagescope_trace_runs_by_thread on imagescope_trace_runs (scope, thread, turn);
create index if not exists imagescope_trace_runs_by_time on imagescope_trace_runs (started);
create table if not exists imagescope_trace_events (
    seq bigserial primary key, scope text not null, run text not null, at double precision not null, kind text not null,
    data bytea not null
);
create index if not exists imagescope_trace_events_by_run on imagescope_trace_events (scope, run, kind);
"""
_LAST_MADE = "imagescope_trace_events_by_run"  # of the schema: where it is, all is
_COLUMNS = "id, thread, turn, started, graph, query, about"


class DatabaseTraces:
    """As `TraceStore`, in a database. A connection that breaks is opened anew by the next statement.

    Args:
        url: of the database.
        scope: of the collection whose runs these are; None reads those of all.
        reading: traces that are there are only read; nothing is created, no table is locked.

    Raises:
        BackendUnavailable: the server does not answer.
        BadInput: it refuses, the URL is wrong, or there are no traces to read.
        MissingExtra: without the extra `postgres`.
    """

    def __init__(self, url: str, scope: str | None, *, reading: bool = False) -> None:
        self._scope, self._count = scope, 0
        self._session = Session(url, PATIENCE)
        self._begin()
        there = self._execute("select to_regclass(%s) is not null", _LAST_MADE)[0][0]
        self.path = redact(url)  # after a first connection, when its password is known
        if reading and not there:
            self.close()
            raise BadInput(
                f"there are no traces in {self.path!r}; search first, or name another place with --store"
            )
        if not there:  # `if not exists` waits for whoever writes, and lets nobody write meanwhile
            self._execute("select pg_advisory_xact_lock(%s)", _LOCK, then=_SCHEMA)

    def _begin(self) -> None:
        events = DatabaseEvents(self._session, self._scope or "")
        self._pid, self._behind = os.getpid(), WriteBehind(events)
        weakref.finalize(self, self._behind.close)  # of a store that lives as long as a served graph

    def close(self) -> None:
        """Write what waits and close the connection."""
        self._behind.close()
        if self._pid != os.getpid():  # that left alone what another process opened
            self._session.close()

    def require_answer(self) -> None:
        """Ask the server for a sign of life.

        Raises:
            BackendUnavailable: it gives none.
        """
        self._execute("select 1")

    def schema_version(self) -> int:
        """Never changes while this is open."""
        return 0

    def start(self, thread: str, *, graph: str, query: str, about: Mapping[str, Any]) -> str:
        """As `TraceStore.start`."""
        self._make_room()
        scope = self._scope or ""
        values = (
            text(thread),
            scope,
            time.time(),
            graph,
            text(clean(query)),
            pack(about),
            scope,
            text(thread),
        )
        sql = (
            "with last as (select %s::text as thread, %s::text as scope, %s::float8 as started, %s::text as graph, "
            "%s::text as query, %s::bytea as about, (select coalesce(max(turn), 0) + 1 from imagescope_trace_runs "
            "where scope = %s and thread = %s) as turn) insert into imagescope_trace_runs "
            "(id, scope, thread, turn, started, graph, query, about) "
            "select thread || '.' || turn, scope, thread, turn, started, graph, query, about from last returning id"
        )
        # one after the other, or two would take the same number
        lock = ("select pg_advisory_xact_lock(hashtextextended(%s, 0))", scope + thread)
        return str(self._execute(*lock, then=sql, values=values)[0][0])

    def newest_of(self, thread: str) -> str | None:
        """As `TraceStore.newest_of`."""
        rows = self._select("select id", "thread = %s", thread, end="order by turn desc limit 1")
        return str(rows[0][0]) if rows else None

    def holds(self, run: str) -> bool:
        """As `TraceStore.holds`."""
        return bool(self._select("select 1", "(id = %s or thread = %s)", run, run, end="limit 1"))

    def append(self, run: str, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> int:
        """As `TraceStore.append`."""
        if (
            self._pid != os.getpid()
        ):  # what waits in the queue is of the process that this one was forked from
            self._begin()
        return self._behind.add(text(run), kind, data, at)

    def runs(self, limit: int = 1000) -> list[Listed]:
        """As `TraceStore.runs`."""
        self._behind.flush()
        end = (
            "(select data from imagescope_trace_events e where e.scope = r.scope and e.run = r.id and kind = 'end' "
            "order by seq desc limit 1)"
        )
        rows = self._select(
            f"select left(id, 200), started, left(graph, 200), left(query, 2000), {end}",
            "true",
            end="order by started desc limit %s",
            last=(limit,),
        )
        return [
            Listed(id=run, started=moment(started), graph=graph, query=query, status=status_of(_bytes(ended)))
            for run, started, graph, query, ended in rows
        ]

    def read(self, run: str | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """As `TraceStore.read`."""
        self._behind.flush()
        select = f"select {_COLUMNS}, scope"
        if run is None:
            rows = self._select(select, "true", end="order by started desc limit 1")
        else:
            end = "order by id = %s desc, turn desc limit 1"
            rows = self._select(select, "(id = %s or thread = %s)", run, run, end=end, last=(text(run),))
        if not rows:
            raise unknown_run(run, self.path, self.runs(50))
        *row, about, scope = rows[0]
        unpack = Unpacker()
        try:
            head = head_of((*row, _bytes(about)), unpack, self.path)
            events = self._execute(
                "select seq, at, kind, data from imagescope_trace_events where scope = %s and run = %s order by seq "
                "limit %s",
                scope,
                head["id"],
                MOST_EVENTS + 1,
            )
            if len(events) > MOST_EVENTS:
                raise ValueError(f"a run has more than {MOST_EVENTS} events")
            return head, [
                {**unpack(_bytes(data)), "seq": seq, "at": moment(at), "kind": kind}
                for seq, at, kind, data in events
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(
                f"the trace of {run!r} in {self.path!r} is damaged ({shorten(str(error))})"
            ) from error

    def take(self, head: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
        """Write down a trace that another store has; whether it was not there yet."""
        scope = self._scope or ""
        own = {"id", "thread", "turn", "started", "graph", "query", "store"}
        about = pack({name: value for name, value in head.items() if name not in own})
        row = (head["id"], scope, head["thread"], head["turn"], head["started"], head["graph"], head["query"])
        parts = [
            pack({name: value for name, value in event.items() if name not in ("seq", "at", "kind")})
            for event in events
        ]
        sql = (
            "with new as (insert into imagescope_trace_runs values (%s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict do nothing returning scope, id), added as (insert into imagescope_trace_events "
            "(scope, run, at, kind, data) select new.scope, new.id, each.at, each.kind, each.data from new, "
            "unnest(%s::float8[], %s::text[], %s::bytea[]) with ordinality as each(at, kind, data, place) "
            "order by place returning 1) select count(*) from new"
        )
        columns = [each["at"] for each in events], [each["kind"] for each in events], parts
        return bool(self._execute(sql, *map(text, row), about, *columns)[0][0])

    def _select(self, what: str, where: str, *values: Any, end: str, last: tuple[Any, ...] = ()) -> list[Any]:
        """Rows of the table of runs, of this scope where there is one."""
        scope = () if self._scope is None else (self._scope,)
        inside = " and r.scope = %s" if scope else ""
        sql = f"{what} from imagescope_trace_runs r where {where}{inside} {end}"
        return self._execute(sql, *map(text, values), *scope, *last)

    def _execute(self, sql: str, *given: Any, **then: Any) -> list[Any]:
        return self._session.execute(sql, *given, **then)

    def _make_room(self) -> None:
        self._count += 1
        if (self._count - 1) % _EVERY:
            return
        size = "select coalesce(sum(pg_column_size(data)), 0) from imagescope_trace_events"
        if self._execute(size)[0][0] <= LARGEST:
            return
        oldest = (
            "(select scope, id from imagescope_trace_runs order by started "
            "limit (select greatest(1, count(*) / 8) from imagescope_trace_runs))"
        )
        events = f"delete from imagescope_trace_events where (scope, run) in {oldest}"
        self._execute(events, then=f"delete from imagescope_trace_runs where (scope, id) in {oldest}")


def _bytes(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value

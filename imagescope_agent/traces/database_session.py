"""A connection to the PostgreSQL database that traces are kept in, and its table of events."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from imagescope_agent.common.postgres import connection_options, given_up_in_time, is_away
from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError, MissingExtra, shorten


class Session:
    """One connection, opened by the first statement, and anew by the next one where it broke.

    Args:
        url: of the database.
        patience: seconds a statement may take.
    """

    def __init__(self, url: str, patience: float) -> None:
        self._url, self._patience = url, patience
        #: By process: what a thread held at a fork is never released in the new process.
        self._locks: dict[int, threading.RLock] = {}
        #: The connection, once there is one, and the process that made it.
        self._open: list[tuple[int, Any]] = []

    def execute(
        self, sql: str, *given: Any, then: str = "", values: tuple[Any, ...] | None = None
    ) -> list[Any]:
        """The rows of the last of one or two statements, which are one transaction.

        Raises:
            BackendUnavailable: the server does not answer.
            BadInput: it refuses, or the URL is wrong.
            MissingExtra: without the extra `postgres`.
        """
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra(
                "traces in PostgreSQL need an extra: pip install 'imagescope-agent[postgres]'"
            ) from error
        with self._lock():
            try:
                base = self._connected(psycopg)
                with given_up_in_time(base, self._patience), base.transaction(), base.cursor() as cursor:
                    cursor.execute(sql, given)
                    if then:
                        cursor.execute(then, values)
                    return list(cursor.fetchall()) if cursor.description else []
            except psycopg.Error as error:
                told = shorten(redact(str(error)))
                if is_away(error):
                    raise BackendUnavailable(f"PostgreSQL does not answer: {told}; is it running?") from error
                raise BadInput(f"PostgreSQL refuses the trace: {told}; name another database") from error

    def close(self) -> None:
        """Close the connection; the next statement opens another."""
        with self._lock():
            _close(self._open)

    def _lock(self) -> threading.RLock:
        return self._locks.setdefault(os.getpid(), threading.RLock())

    def _connected(self, psycopg: Any) -> Any:
        """The connection, or a new one where it broke or belongs to the process that this one was forked from."""
        if self._open and self._open[0][0] == os.getpid() and self._answers(self._open[0][1], psycopg):
            return self._open[0][1]
        _close(self._open)
        base = psycopg.connect(autocommit=True, **connection_options(self._url))
        self._open.append((os.getpid(), base))
        base.execute(f"set statement_timeout = {int(self._patience * 1000)}")
        return base

    def _answers(self, base: Any, psycopg: Any) -> bool:
        """Whether the server is still there: what is found out before a statement needs no second one."""
        try:
            with given_up_in_time(base, self._patience):
                base.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True


class DatabaseEvents:
    """As `write_behind.Events`.

    Args:
        session: with the database.
        scope: of the collection whose runs these are.
    """

    errors: tuple[type[Exception], ...] = (ImageScopeError,)

    def __init__(self, session: Session, scope: str) -> None:
        self._session, self._scope = session, scope

    def reserve(self, count: int) -> Sequence[int]:
        """As `Events.reserve`."""
        sql = "select nextval(pg_get_serial_sequence('imagescope_trace_events', 'seq')) from generate_series(1, %s)"
        return sorted(int(row[0]) for row in self._session.execute(sql, count))

    def write(self, rows: Sequence[tuple[int, str, float, str, bytes]]) -> None:
        """As `Events.write`; written again where it is not known whether the server took them."""
        sql = (
            "insert into imagescope_trace_events (seq, scope, run, at, kind, data) "
            "select each.seq, %s, each.run, each.at, each.kind, each.data "
            "from unnest(%s::bigint[], %s::text[], %s::float8[], %s::text[], %s::bytea[]) "
            "as each(seq, run, at, kind, data) on conflict (seq) do nothing"
        )
        if rows:
            self._session.execute(sql, self._scope, *map(list, zip(*rows, strict=True)))

    def passes(self, error: Exception) -> bool:
        """As `Events.passes`: a server that was restarted is soon back."""
        return isinstance(error, BackendUnavailable)

    def close(self) -> None:
        """As `Events.close`."""
        self._session.close()


def text(value: Any) -> Any:
    """Text without zero bytes, which a database does not take."""
    return (
        value.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if isinstance(value, str) else value
    )


def _close(connections: list[tuple[int, Any]]) -> None:
    """Close them; one of the process that this one was forked from is left alone, or that would lose its session."""
    while connections:
        pid, base = connections.pop()
        if pid == os.getpid():
            base.close()

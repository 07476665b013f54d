"""Addresses of PostgreSQL databases, read once by libpq itself: what it says of a wrong one may hold the password."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from imagescope_agent.common.redact import learn
from imagescope_agent.errors import BadInput

#: Options of a connection, unless the URL has its own: a server that is silent is given up. Seconds, milliseconds.
BOUNDED = {"connect_timeout": 10, "tcp_user_timeout": 20_000, "keepalives_idle": 20, "keepalives_interval": 5}
SETUP_LOCK = 0x696D6167  # any number that is always the same: whoever makes the tables of runs holds it
NO_CONNECTION_LEFT = "53300"  # as PostgreSQL numbers it
WRONG = (
    "the postgresql:// address of the database is not readable; percent-encode what is special in its password "
    "(@ is %40, / is %2F, % is %25, a space is %20)"
)


def connection_options(url: str) -> dict[str, Any]:
    """What a URL says, as keyword arguments of `psycopg.connect`, with the limits of `BOUNDED`.

    Its password is remembered: `redact` takes it out of everything from then on.

    Raises:
        BadInput: the URL is wrong; nothing of it is repeated.
        ImportError: psycopg is not installed.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    learn(url)
    try:
        found = dict(conninfo_to_dict(url))
    except (psycopg.Error, ValueError):
        raise BadInput(WRONG) from None
    learn({name: value for name, value in found.items() if "password" in name})
    # a password that is not encoded ends at its first @, / or ?, and its rest is taken for something else
    others = [str(value) for name, value in found.items() if name in ("host", "dbname")]
    ports = str(found.get("port") or "0").split(",")
    if any("@" in value for value in others) or not all(port.isdecimal() for port in ports if port):
        raise BadInput(WRONG)
    return {**BOUNDED, **found}


def is_away(error: BaseException) -> bool:
    """Whether the server does not answer, shuts down, or has no connection left: it may be back soon.

    A full disk, a deadlock or a cancelled statement is an `OperationalError` too, of a server that answers.
    """
    import psycopg

    state = getattr(error, "sqlstate", None) or ""  # none of what the server has not said
    if state:
        return state.startswith(("57P", "08")) or state == NO_CONNECTION_LEFT
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


@contextmanager
def given_up_in_time(base: Any, seconds: float) -> Iterator[None]:
    """Hang up where a server is silent for too long: psycopg itself waits for ever for an answer."""

    def hang_up() -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(base.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def server_of(url: str) -> str:
    """The name of the server in a URL, for messages; "this machine" where it names none."""
    try:
        host = str(connection_options(url).get("host") or "")
    except (BadInput, ImportError):
        host = ""
    return "this machine" if not host or host.startswith("/") else host

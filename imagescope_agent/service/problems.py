"""What an error is told as over HTTP: a status, a type, one line that says what to do."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError, Misconfigured, shorten
from imagescope_agent.service.admission import ClientGone, TimedOut, TooBusy
from imagescope_agent.service.collections import Collections, Unknown, WrongKey

SHOWN = 200  # characters of a message
#: Status and type of an error, the first class that fits.
STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (WrongKey, 401, "unauthorized"),
    (Unknown, 404, "not_found"),
    (TooBusy, 429, "too_busy"),
    (TimedOut, 504, "timed_out"),
    (Misconfigured, 502, "misconfigured"),
    (BackendUnavailable, 503, "unavailable"),
    (BadInput, 400, "bad_input"),
    (ClientGone, 499, "client_gone"),
    (ImageScopeError, 422, "unanswered"),
)


def told(error: Exception, collections: Collections) -> tuple[int, str, str]:
    """Status, type and message of an error."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return 422, "bad_request", shorten(f"{place}: {first['msg']}" if place else str(first["msg"]), SHOWN)
    if isinstance(error, HTTPException):
        return error.status_code, "http", shorten(str(error.detail), SHOWN)
    for kind, status_code, name in STATUS:
        if isinstance(error, kind):
            return status_code, name, " ".join(collections.public(str(error)).split())
    raise error

"""What an error is told as over HTTP: a status, a type, one line that says what to do."""

from __future__ import annotations

import re
from typing import Protocol

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError, Misconfigured, shorten
from imagescope_agent.service.admission import ClientGone, TimedOut, TooBusy
from imagescope_agent.service.collections import Unknown, WrongKey

SHOWN = 200  # characters of a message
_ALTERNATIVE = re.compile(r"str|constrained-str|[A-Z]\w*")
#: What to do about a kind of validation error whose own message does not say it.
ADVICE = {"string_pattern_mismatch": "use letters, digits, - and _, at most 64"}
#: What to do about an error of the framework.
HTTP = {
    400: "send JSON in UTF-8, not compressed",
    404: "see /docs for the addresses there are",
    405: "see /docs for what this address takes",
}
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


class Hiding(Protocol):
    """Takes places on this machine out of messages."""

    def public(self, text: str) -> str:
        """The text without them."""
        ...


def told(error: Exception, served: Hiding, content_type: str = "") -> tuple[int, str, str]:
    """Status, type and message of an error.

    Args:
        error: what was raised.
        served: whose places on this machine are not told.
        content_type: of the request.
    """
    if isinstance(error, RequestValidationError):
        return _of_body(error, content_type)
    if isinstance(error, HTTPException):
        advice = HTTP.get(error.status_code)
        detail = str(error.detail) if advice is None else f"{error.detail}: {advice}"
        return error.status_code, "http", shorten(detail, SHOWN)
    for kind, status_code, name in STATUS:
        if isinstance(error, kind):
            return status_code, name, " ".join(served.public(str(error)).split())
    return 500, "internal", "the service failed at this request; its own log says why"


def _of_body(error: RequestValidationError, content_type: str) -> tuple[int, str, str]:
    """What is wrong with a body: of several errors the one that reaches deepest."""
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        return (
            422,
            "bad_request",
            f"the body is no JSON: {errors[0]['ctx']['error']} at {errors[0]['loc'][-1]}",
        )
    if tuple(errors[0]["loc"]) == ("body",) and errors[0]["type"] != "missing" and not _is_json(content_type):
        return 415, "bad_request", "send the header Content-Type: application/json"
    found = max(errors, key=lambda each: len(each["loc"]))
    # the names of alternatives are not of the request
    parts = [str(part) for part in found["loc"] if part != "body" and not _ALTERNATIVE.fullmatch(str(part))]
    message = ADVICE.get(found["type"], str(found["msg"]))
    if found["type"] == "string_too_long" and str(found["input"]).startswith("data:"):
        message = 'a picture goes into an object: {"image": "data:..."}'
    return 422, "bad_request", shorten(": ".join([*([".".join(parts)] if parts else []), message]), SHOWN)


def _is_json(content_type: str) -> bool:
    kind = content_type.split(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")

"""What the exceptions of other packages' chat models mean, told by what they look like: nothing is imported for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from imagescope_agent.errors import (
    BackendUnavailable,
    Exhausted,
    ImageScopeError,
    Misconfigured,
    ModelFailed,
    RequestRefused,
    ServerFails,
    UnreadableReply,
    shorten,
)
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.replies.reader import clean

_AGAIN = frozenset({408, 409, 425, 429})
_DENIED = frozenset({401, 402, 403, 404, 405, 407, 410})
_DEPTH = 5  # causes behind an exception that are looked at

# parts of the names of exceptions and error codes, in lower case and without underscores; the first that fits counts
_BUSY = "ratelimit throttl toomanyrequests overload resourceexhausted quota"
_CUT = "lengthfinish outputtruncated"
_FILTERED = "contentpolicy contentfilter safety moderation guardrail blockedprompt"
_AWAY = (
    "timeout timedout deadline connect transport network unavailable servererror protocolerror notready "
    "internalfailure readerror writeerror chunkedencoding gaierror"
)
_UNREACHED = "timeout timedout deadline connect transport network gaierror"
_GARBLED = "decodeerror outputparser validationerror responseparsing responsevalidation"
_KEYS = (
    "authentic permission accessdenied unauthor forbidden unrecognizedclient expiredtoken apikey credential "
    "notfound"
)
_REFUSED = (
    "badrequest invalidrequest invalidargument unprocessable toolarge contextlength contextwindow unsupported "
    "validationexception"
)


@contextmanager
def as_ours(model: object) -> Iterator[None]:
    """Turn whatever a model raises into an error of ours; what stops the program passes.

    Raises:
        RequestRefused: the model does not take this request.
        UnreadableReply: its own package could not read what it answered.
        Misconfigured: its key, name or address is wrong.
        BackendUnavailable: it is busy, away, or broken.
    """
    try:
        yield
    except (ImageScopeError, UnusableLabels):
        raise
    except Exception as error:
        raise meaning(error, type(model).__name__) from error


def meaning(error: Exception, model: str) -> ImageScopeError:
    """The error of ours that says the same, in one line.

    Args:
        error: what was raised.
        model: who raised it, for the message.
    """
    chain = list(_chain(error))
    kind = next(filter(None, map(_kind, chain)), None)
    told = shorten(f"{type(error).__name__}: {_words(error)}", 200)
    if kind is None and isinstance(error, ValueError):
        kind = RequestRefused  # what a client, or a local processor, says of something that it cannot take
    if kind is not None and issubclass(kind, RequestRefused):
        return RequestRefused(
            f"{model} does not take the request ({told}); mend its options in the profile, or name another model"
        )
    if kind is not None and issubclass(kind, UnreadableReply):
        return UnreadableReply(f"{model} gave a reply that its own package cannot read ({told})")
    if kind is not None and issubclass(kind, Misconfigured):
        return Misconfigured(f"{model} is denied ({told}); mend its key, name or address")
    if kind is not None and issubclass(kind, BackendUnavailable):
        return BackendUnavailable(f"{model} does not answer ({told}); try again later: finished work is kept")
    return ModelFailed(
        f"{model} failed ({told}); see that it works by itself, or name another model in the profile"
    )


def timed_out(error: BaseException) -> bool:
    """Whether a request was given up because no answer came: another attempt would take as long."""
    return any(
        isinstance(each, TimeoutError) or _named([_flat(type(each).__name__)], "timeout timedout deadline")
        for each in _chain(error)
    )


def reached(error: BackendUnavailable) -> bool:
    """Whether a request came to the model and failed there: no connection, time-out, denial or limit is to blame.

    Of an error that nothing foreign is behind, whoever raised it says that it is away.
    """
    if isinstance(error, Misconfigured | Exhausted) or error.__cause__ is None:
        return isinstance(error, ServerFails)
    chain = list(_chain(error.__cause__))
    names = [_flat(type(each).__name__) for each in chain]
    outside = any(isinstance(each, TimeoutError | ConnectionError) for each in chain)
    return not outside and not _named(names, f"{_UNREACHED} {_BUSY}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, then what it was raised from or for."""
    for _ in range(_DEPTH):
        if error is None:
            return
        yield error
        group = getattr(error, "exceptions", None)
        first = group[0] if isinstance(group, tuple | list) and group else None
        inner = first if isinstance(first, BaseException) else None
        error = inner or error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _kind(error: BaseException) -> type[ImageScopeError] | None:
    """What one exception says by itself; None for nothing."""
    if isinstance(error, ImageScopeError):
        return type(error) if isinstance(error, BackendUnavailable) else None
    names = [_flat(each.__name__) for each in type(error).__mro__[:-1]] + [
        _flat(each) for each in _codes(error)
    ]
    status = _status(error)
    if _named(names, _BUSY):
        return BackendUnavailable
    if _named(names, _CUT):
        return UnreadableReply
    if _named(names, _FILTERED):
        return RequestRefused
    if status is not None and status >= 300:
        return _by_status(status, _words(error))
    if isinstance(error, TimeoutError | ConnectionError) or _named(names, _AWAY):
        return BackendUnavailable
    if _named(names, _GARBLED):
        return UnreadableReply
    if _named(names, _KEYS) and not isinstance(error, ImportError):
        return Misconfigured
    return RequestRefused if _named(names, _REFUSED) else None


def _by_status(status: int, text: str) -> type[ImageScopeError]:
    if status in _AGAIN or status >= 500:
        return BackendUnavailable
    denied = status in _DENIED or status < 400
    return Misconfigured if denied or re.search(r"\bapi[ _-]?key\b", text, re.I) else RequestRefused


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception holds, wherever packages put it; None where there is none."""
    response = getattr(error, "response", None)
    found = [getattr(error, name, None) for name in ("status_code", "http_status", "status", "code")]
    found += [getattr(response, name, None) for name in ("status_code", "status")]
    if isinstance(response, Mapping):
        about = response.get("ResponseMetadata")
        found.append(about.get("HTTPStatusCode") if isinstance(about, Mapping) else None)
    body = _body(error)
    found += [body.get(name) for name in ("status", "code", "status_code")]
    if match := re.search(
        r"\b(?:error code|http|status(?: code)?)\W{1,3}([1-5]\d\d)\b", _words(error)[:500], re.I
    ):
        found.append(int(match[1]))
    return next((number for number in map(_number, found) if number is not None), None)


def _codes(error: BaseException) -> list[str]:
    """The words by which an exception, or the body that it holds, names its kind."""
    response = getattr(error, "response", None)
    body = _body(error)
    found = [getattr(error, name, None) for name in ("code", "type", "status")]
    found += [body.get(name) for name in ("code", "type", "status")]
    if isinstance(response, Mapping) and isinstance(about := response.get("Error"), Mapping):
        found.append(about.get("Code"))
    return [name for name in map(_word, found) if name]


def _body(error: BaseException) -> Mapping[str, Any]:
    """The answer of a server that an exception was made of."""
    for held in (getattr(error, "body", None), *error.args[:1]):
        if isinstance(held, Mapping):
            inner = held.get("error")
            return inner if isinstance(inner, Mapping) else held
    return {}


def _words(error: BaseException) -> str:
    with suppress(Exception):  # an exception that cannot even be shown
        return clean(str(error))
    return "no message"


def _number(value: object) -> int | None:
    value = getattr(value, "value", value)  # of an enum
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 100 <= value < 600 else None


def _word(value: object) -> str:
    if callable(value):  # of gRPC
        called, value = value, None
        with suppress(Exception):  # no code of ours: what it raises says nothing
            value = called()
    value = getattr(value, "name", value)
    return value if isinstance(value, str) else ""


def _named(names: list[str], parts: str) -> bool:
    return any(part in name for name in names for part in parts.split())


def _flat(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()

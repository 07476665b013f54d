"""Encode events as compressed JSON without secrets; decode untrusted ones within size limits."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from imagescope_agent.common.redact import redact, redact_values
from imagescope_agent.common.untrusted import inflate, parse_json

LARGEST_EVENT = 16 * 2**20  # bytes of JSON
LARGEST_TRACE = 64 * 2**20  # bytes of JSON of all events that are read together
LARGEST_END = 2**20  # bytes of JSON of the event that ends a run, in a list of runs
LATEST = 1e11  # seconds since the epoch: year 5138
FEW = 8192  # bytes of JSON that are packed with little memory
_SMALL, _USUAL = (13, 6), (15, 8)  # bits of the window, level of memory
MOST_VALUES = 2_000_000  # in a trace
_json = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


def clean(text: str) -> str:
    """A text without secrets and lone surrogates."""
    return redact(text).encode("utf-8", "replace").decode("utf-8")


def pack(data: Mapping[str, Any]) -> bytes:
    """Encode an event.

    Raises:
        ValueError: it is larger than would be decoded again.
    """
    told = _json(data)
    text = redact(told)
    if text != told and not _is_json(text):  # words before a quote looked like the name of a secret
        text = _json(redact_values(json.loads(told)))
    plain = text.encode("utf-8", "replace")
    if len(plain) > LARGEST_EVENT:
        raise ValueError(f"an event has {len(plain)} bytes, more than {LARGEST_EVENT}")
    # for few bytes zlib would get itself a quarter of a megabyte from the system, which takes longer than the rest
    packer = zlib.compressobj(1, zlib.DEFLATED, *(_SMALL if len(plain) < FEW else _USUAL))
    return packer.compress(plain) + packer.flush()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class Unpacker:
    """Decodes events; together they may not exceed a limit.

    Args:
        most: bytes of JSON that may be decoded in all.
    """

    def __init__(self, most: int = LARGEST_TRACE) -> None:
        self._left, self._values = most, MOST_VALUES

    def __call__(self, data: object) -> dict[str, Any]:
        """An event.

        Raises:
            ValueError: it is malformed, or together with the others too large.
        """
        if not isinstance(data, bytes):
            raise ValueError("an event is no bytes")
        plain = inflate(data, min(LARGEST_EVENT, self._left))
        self._left -= len(plain)
        event = parse_json(plain, most=self._values)
        if not isinstance(event, dict):
            raise ValueError("an event is no object")
        self._values -= 1 + sum(map(plain.count, (b",", b"[", b"{")))
        return event


def moment(value: object) -> float:
    """A value checked to be seconds since the epoch.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise ValueError("a moment is none")
    return float(value)


def status_of(end: object) -> str:
    """The status in the event that ended a run; `end` is None where there is none."""
    if end is None:
        return "running or cut off"
    try:
        return str(Unpacker(LARGEST_END)(end)["status"])
    except (ValueError, KeyError):
        return "damaged"

"""The kinds of field that images may be filtered by, and how text becomes a value of each."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any, Literal, get_args

import numpy as np

Kind = Literal["number", "text", "date", "boolean", "list"]
KINDS: frozenset[str] = frozenset(get_args(Kind))
#: A value: float, text, microseconds since 1970 on the clock of whoever wrote the date, bool, or a tuple of texts.
Value = float | str | int | bool | tuple[str, ...]
LONGEST = 10_000  # characters of a text, and of a list as JSON
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DATE = re.compile(
    r"(\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?)?)?)(?:Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_BOOLEANS = {"true": True, "false": False}


def period(text: str) -> tuple[int, int] | None:
    """The time that an ISO date names, as precisely as it says: [start, end) in microseconds since 1970.

    "2024-05" is all of that month. A time zone is left out: dates are compared as the clocks on the spot showed them,
    since cameras know no zone.
    """
    if not (match := _DATE.fullmatch(text.strip())) or match[1].startswith("0000"):
        return None
    try:
        start = np.datetime64(match[1].replace(" ", "T"))
    except ValueError:  # no such day
        return None
    ends = (moment.astype("datetime64[us]").astype(np.int64) for moment in (start, start + 1))
    first, last = map(int, ends)
    return first, last


def normal(text: str) -> str:
    """The text as it is kept and compared: one Unicode form, whatever system wrote it."""
    return unicodedata.normalize("NFC", text)


def kind_of(value: Any) -> tuple[Kind, Value] | None:
    """A JSON value as a field has it; None for what no field can hold."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int | float):
        return ("number", float(value)) if abs(value) < 1e300 and math.isfinite(value) else None
    if isinstance(value, str):
        if len(value) > LONGEST or not _is_unicode(value):
            return None
        found = period(value) if "-" in value else None
        return ("date", found[0]) if found else ("text", normal(value))
    if isinstance(value, list) and all(isinstance(each, str) and _is_unicode(each) for each in value):
        items = tuple(normal(each) for each in value)
        return ("list", items) if len(json.dumps(items)) <= LONGEST else None
    return None


def kind_of_text(text: str) -> tuple[Kind, Value] | None:
    """As `kind_of`, for a cell of a table of texts."""
    plain = text.strip()
    if plain.lower() in _BOOLEANS:
        return "boolean", _BOOLEANS[plain.lower()]
    return ("number", float(plain)) if _NUMBER.fullmatch(plain) else kind_of(text)


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

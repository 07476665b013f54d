"""Which images an expression matches: one pass over the columns that it names."""

from __future__ import annotations

import json
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.retrieval.metadata.kinds import Kind, period
from imagescope_agent.retrieval.metadata.table import Column
from imagescope_agent.retrieval.metadata.where import Compared, Expression, Joined, Known, Literal, Not

Mask = npt.NDArray[np.bool_]
_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: The operators of a kind of field, and how a value of it is written.
OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    "number": (*_ORDERS, "in"),
    "text": (*_ORDERS, "in", "like", "contains"),
    "date": (*_ORDERS, "in"),
    "boolean": ("=", "!=", "in"),
    "list": ("like", "contains"),
}
WRITTEN: Mapping[Kind, str] = {
    "number": "a number",
    "text": "text in quotes",
    "date": "a date such as 2024-05-31, 2024-05 or 2024",
    "boolean": "true or false",
    "list": "text in quotes",
}


class Columns(Protocol):
    """Where the columns come from."""

    def column(self, name: str) -> Column:
        """The column of a field.

        Raises:
            BadInput: there is none; names those that there are.
        """
        ...


def mask_of(expression: Expression, columns: Columns) -> Mask:
    """Whether each image matches: (n,) bool.

    A comparison with a missing value is never true; `not` is true wherever its part is not.

    Raises:
        BadInput: an unknown field, or a comparison that its kind has not.
    """
    if isinstance(expression, Joined):
        join = np.logical_and if expression.every else np.logical_or
        found: Mask = join.reduce([mask_of(part, columns) for part in expression.parts])
        return found
    if isinstance(expression, Not):
        return ~mask_of(expression.part, columns)
    column = columns.column(expression.field)
    if isinstance(expression, Known):
        return column.known
    require_comparable(expression, column.kind)
    found = _compared(expression, column)
    return found & column.known


def require_comparable(test: Compared, kind: Kind) -> None:
    """Check that a kind of field has a comparison.

    Raises:
        BadInput: it has not.
    """
    if test.operator not in OPERATORS[kind]:
        raise BadInput(
            f"{test.field} is a {kind}, which {test.operator!r} does not compare; use {', '.join(OPERATORS[kind])}"
        )
    for literal in test.literals:
        suits = literal.kind == {"list": "text"}.get(kind, kind)
        if kind == "date":
            suits = time_of(literal) is not None
        if not suits:
            raise BadInput(
                f"{test.field} is a {kind} and {shorten(literal.text, 40)!r} is none; give {WRITTEN[kind]}"
            )


def _compared(test: Compared, column: Column) -> Mask:
    if test.operator == "in":
        singles = [_compared(Compared(test.field, "=", (each,)), column) for each in test.literals]
        found: Mask = np.logical_or.reduce(singles)
        return found
    (literal,) = test.literals
    if column.kind in ("text", "list"):
        return _words_of(test.operator, literal.text, column)
    if column.kind == "date":
        return _dates(test.operator, time_of(literal) or (0, 0), column.values)
    value = float(literal.text) if column.kind == "number" else literal.text == "true"
    ordered: Mask = _ORDERS[test.operator](column.values, value)
    return ordered


def time_of(literal: Literal) -> tuple[int, int] | None:
    """The time that a literal names; a year is written as a number."""
    year = literal.kind == "number" and re.fullmatch(r"\d{4}", literal.text)
    return period(literal.text) if year or literal.kind in ("date", "text") else None


def _dates(name: str, time: tuple[int, int], values: npt.NDArray[np.int64]) -> Mask:
    """A date of a day or a year is all of it: <= includes its end, > begins after it."""
    start, end = time
    within = (values >= start) & (values < end)
    if name in ("=", "!="):
        return within if name == "=" else ~within
    return _ORDERS["<" if name in ("<", "<=") else ">="](values, end if name in ("<=", ">") else start)  # type: ignore[no-any-return]


def _words_of(name: str, text: str, column: Column) -> Mask:
    """Compare each distinct text once; those are in order, so that most need only be looked for."""
    hits = np.append(word_hits(name, text, column), False)  # the last is of the code -1, missing
    return hits[column.values]  # type: ignore[no-any-return]


def word_hits(name: str, text: str, column: Column) -> Mask:
    """Which of the distinct texts of a column compare so with a text: (words,) bool."""
    words = column.words
    if name in ("like", "contains"):
        matches = _like(text) if name == "like" else _contains(text, whole=column.kind == "list")
        each = (json.loads(word) for word in words) if column.kind == "list" else ([word] for word in words)
        return np.array([any(map(matches, items)) for items in each], dtype=bool)
    first, last = bisect_left(words, text), bisect_right(words, text)
    spans = {"=": (first, last), "!=": (first, last), "<": (0, first), "<=": (0, last)}
    spans |= {">": (last, len(words)), ">=": (first, len(words))}
    hits = np.zeros(len(words), dtype=bool)
    hits[slice(*spans[name])] = True
    return ~hits if name == "!=" else hits


def _contains(text: str, *, whole: bool) -> Callable[[str], bool]:
    """Whether a text holds this one, or (`whole`) is it; case is ignored."""
    wanted = text.casefold()
    return (lambda item: item.casefold() == wanted) if whole else (lambda item: wanted in item.casefold())


def _like(pattern: str) -> Callable[[str], bool]:
    """Whether a text is like a pattern: % is any text, _ any one character; case is ignored.

    The parts between the % are looked for one after the other, each as early as it can be, so that no pattern takes
    more than (length of the text) x (length of the pattern) steps.
    """
    parts = pattern.split("%")
    first, *rest = (
        re.compile("".join("." if letter == "_" else re.escape(letter) for letter in part), re.I | re.S)
        for part in parts
    )

    def matches(text: str) -> bool:
        if not rest:
            return first.fullmatch(text) is not None
        found = first.match(text)
        for part in rest[:-1]:
            found = found and part.search(text, found.end())
        begin = len(text) - len(parts[-1])
        return found is not None and begin >= found.end() and rest[-1].fullmatch(text, begin) is not None

    return matches

"""A filter as conditions on numbers, for databases that keep the columns of `table`: SQL, or an expression of Milvus.

What texts compare with is looked up here, among the distinct ones of a column: a database compares the place of a text
in their order, which gives the same rows as `mask` whatever the database's own idea of case and order is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imagescope_agent.retrieval.metadata.mask import Columns, require_comparable, time_of, word_hits
from imagescope_agent.retrieval.metadata.table import Column
from imagescope_agent.retrieval.metadata.where import Compared, Expression, Joined, Known, Literal, Not

MOST_VALUES = 1000  # of a condition; a filter of more is not given to the database
NO_NUMBER = 1.7e308  # a missing number: comparisons with nothing differ between databases
MISSING = {"number": NO_NUMBER, "boolean": -1, "text": -1, "list": -1, "date": -(2**62)}


@dataclass(frozen=True)
class Test:
    """A column against a number, or (`operator` "in") several."""

    field: str
    operator: str
    values: tuple[float | int, ...]


@dataclass(frozen=True)
class Group:
    """Conditions of which every one or any holds; `negated` where that is not so."""

    every: bool
    parts: tuple[Condition, ...]
    negated: bool = False


Condition = Test | Group


def conditions_of(expression: Expression, columns: Columns, kept: Sequence[str]) -> Condition | None:
    """The conditions that match what a filter matches; None where a database cannot be asked them.

    Args:
        expression: the filter.
        columns: of the collection.
        kept: names of the columns that the database has.

    Raises:
        BadInput: as `mask.mask_of`.
    """
    if isinstance(expression, Joined):
        parts = [conditions_of(part, columns, kept) for part in expression.parts]
        found = tuple(part for part in parts if part is not None)
        return Group(expression.every, found) if len(found) == len(parts) else None
    if isinstance(expression, Not):
        part = conditions_of(expression.part, columns, kept)
        return None if part is None else Group(True, (part,), negated=True)
    column = columns.column(expression.field)
    if expression.field not in kept:
        return None
    known = Test(expression.field, "!=", (MISSING[column.kind],))
    if isinstance(expression, Known):
        return known
    require_comparable(expression, column.kind)
    found_one = _compared(expression, column)
    return None if found_one is None else Group(True, (known, found_one))


def _compared(test: Compared, column: Column) -> Condition | None:
    if test.operator == "in":
        singles = [_compared(Compared(test.field, "=", (each,)), column) for each in test.literals]
        found = tuple(single for single in singles if single is not None)
        return Group(False, found) if len(found) == len(singles) else None
    (literal,) = test.literals
    if column.kind in ("text", "list"):
        hits = np.flatnonzero(word_hits(test.operator, literal.text, column))
        return Test(test.field, "in", tuple(hits.tolist())) if len(hits) <= MOST_VALUES else None
    if column.kind == "date":
        return _dates(test.field, test.operator, literal)
    value = float(literal.text) if column.kind == "number" else int(literal.text == "true")
    # 1e999 is infinite, which neither SQL nor Milvus writes so
    return Test(test.field, test.operator, (value,)) if np.isfinite(value) else None


def _dates(field: str, operator: str, literal: Literal) -> Condition:
    start, end = time_of(literal) or (0, 0)
    if operator in ("=", "!="):
        within = (Test(field, ">=", (start,)), Test(field, "<", (end,)))
        return Group(True, within, negated=operator == "!=")
    at = end if operator in ("<=", ">") else start
    return Test(field, "<" if operator in ("<", "<=") else ">=", (at,))


def render(
    condition: Condition, names: Mapping[str, str], *, equals: str, several: Callable[[str], str]
) -> str:
    """Conditions as text of a database; every value in it is a number.

    Args:
        condition: what is to hold.
        names: of the database's columns, by field.
        equals: how it writes that two are equal.
        several: puts brackets around several values.
    """
    if isinstance(condition, Test):
        name = names[condition.field]
        if condition.operator == "in":
            values = ", ".join(map(repr, condition.values))
            return f"{name} in {several(values)}" if values else "row < 0"  # none
        operator = equals if condition.operator == "=" else condition.operator
        return f"{name} {operator} {condition.values[0]!r}"
    parts = [f"({render(part, names, equals=equals, several=several)})" for part in condition.parts]
    joined = (" and " if condition.every else " or ").join(parts)
    return f"not ({joined})" if condition.negated else joined

"""Expressions as filters are written, and their parts."""

from __future__ import annotations

import re

from imagescope_agent.retrieval.metadata.where import Compared, Expression, Joined, Known, Literal, Not

PLAIN = re.compile(r"[^\W\d][\w.]*")  # names that a filter needs not put in backticks


def written(expression: Expression) -> str:
    """The text that `parse_where` reads as this expression."""
    if isinstance(expression, Joined):
        join = " and " if expression.every else " or "
        return join.join(_inner(part) for part in expression.parts)
    if isinstance(expression, Not):
        part = expression.part
        return f"{_name(part.field)} is missing" if isinstance(part, Known) else f"not ({written(part)})"
    if isinstance(expression, Known):
        return f"{_name(expression.field)} is not missing"
    values = [_value(literal) for literal in expression.literals]
    told = f"({', '.join(values)})" if expression.operator == "in" else values[0]
    return f"{_name(expression.field)} {expression.operator} {told}"


def conjuncts(expression: Expression) -> tuple[Expression, ...]:
    """The parts that must all hold."""
    if isinstance(expression, Joined) and expression.every:
        return tuple(each for part in expression.parts for each in conjuncts(part))
    return (expression,)


def joined(parts: tuple[Expression, ...], *, every: bool = True) -> Expression:
    """One expression of one or more."""
    return parts[0] if len(parts) == 1 else Joined(every, parts)


def comparisons(expression: Expression) -> list[Compared]:
    """All comparisons in an expression."""
    if isinstance(expression, Joined):
        return [each for part in expression.parts for each in comparisons(part)]
    if isinstance(expression, Not):
        return comparisons(expression.part)
    return [expression] if isinstance(expression, Compared) else []


def fields_of(expression: Expression) -> set[str]:
    """The fields that an expression names."""
    if isinstance(expression, Joined):
        return {name for part in expression.parts for name in fields_of(part)}
    return fields_of(expression.part) if isinstance(expression, Not) else {expression.field}


def _inner(part: Expression) -> str:
    return f"({written(part)})" if isinstance(part, Joined) else written(part)


def _name(field: str) -> str:
    return field if PLAIN.fullmatch(field) else f"`{field}`"


def _value(literal: Literal) -> str:
    if literal.kind != "text":
        return literal.text
    return "'" + literal.text.replace("'", "''") + "'"

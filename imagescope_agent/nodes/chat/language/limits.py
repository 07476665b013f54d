"""A filter that a model read out of a message, held to the message and to the fields that there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.chat.language.grounding import NUMBERS as COUNTS
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.periods import SPOKEN, period_of
from imagescope_agent.retrieval.metadata.kinds import Kind, period
from imagescope_agent.retrieval.metadata.where import (
    Compared,
    Expression,
    Joined,
    Known,
    Literal,
    Not,
    parse_where,
)
from imagescope_agent.retrieval.metadata.written import comparisons, conjuncts, fields_of, joined, written

#: What a message may say of a value, in the order of their labels; the last label is for nothing.
OPERATORS = ("=", "!=", ">=", ">", "<", "<=")
LABELS = tuple("ABCDEFG")
NUMBERS = ("zero", *COUNTS[1:])
_FEW = 8  # values that a filter names one by one


@dataclass(frozen=True)
class Values:
    """What a field may be: its kind, and the distinct texts of one of text."""

    kind: Kind
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Message:
    """A message and its circumstances: the fields of the collection by name, and the day on which it is said."""

    text: str
    fields: Mapping[str, Values]
    today: date


def added(filter_: str, standing: str, message: Message) -> str:
    """The filter that holds once a message adds one: of a field that both name the newer holds.

    Raises:
        BadInput: as `limited`.
    """
    new = parse_where(limited(filter_, "", message))
    kept = [each for each in _parts(standing) if not fields_of(each) & fields_of(new)]
    return written(joined((*kept, *conjuncts(new))))


def lifted(field: str, standing: str) -> str:
    """The filter that is left once the limits by a field are lifted, all where no such field is in it."""
    parts = _parts(standing)
    left = tuple(each for each in parts if field not in fields_of(each))
    return written(joined(left)) if left and len(left) < len(parts) else ""


def limited(filter_: str, standing: str, message: Message) -> str:
    """A proposed filter with times as dates and texts as the collection writes them.

    Args:
        filter_: as a model gives it; a date field may be compared with a time in words ('last summer').
        standing: the filter so far; what it says needs no ground in the message.
        message: where the rest must have its ground.

    Raises:
        BadInput: it is no filter, names a field that there is not, or says something that the message does not.
    """
    expression = parse_where(filter_)
    known = [test for part in _parts(standing) for test in comparisons(part)]
    for name in fields_of(expression) - set(message.fields):
        raise BadInput(f"there is no field {name!r}; the fields are {', '.join(message.fields)}")
    for test in comparisons(expression):
        if test not in known:
            _require_ground(test, message)
    return written(_resolved(expression, message))


def _parts(standing: str) -> tuple[Expression, ...]:
    return conjuncts(parse_where(standing)) if standing.strip() else ()


def _require_ground(test: Compared, message: Message) -> None:
    """Check that a message gives the ground for what a field is compared with.

    Raises:
        BadInput: it does not.
    """
    kind = message.fields[test.field].kind
    for literal in test.literals:
        if kind == "boolean":
            grounded = not Grounding([message.text]).ungrounded(test.field.replace("_", " "))
        elif kind == "date":
            grounded = _speaks_of_time(literal, message.text)
        else:
            grounded = is_said(literal.text, message.text)
        if not grounded:
            raise BadInput(f"{literal.text!r} is not in the message")


def is_said(value: str, message: str) -> bool:
    """Whether a message has a value: its letters, or its words in other forms."""
    value, message = value.strip("%").casefold(), message.casefold()
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        words = NUMBERS[int(value)] if value.isdigit() and int(value) < len(NUMBERS) else value
        return (
            re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.]*\w)|\b{re.escape(words)}\b", message)
            is not None
        )
    if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", message):
        return True
    named = _words(value)
    return bool(named) and named <= _words(message)


def _words(text: str) -> set[str]:
    """The words of a text, whole but for an ending "s"."""
    return {word.removesuffix("s") for word in re.findall(r"[^\W_]{2,}", text)}


def _speaks_of_time(literal: Literal, message: str) -> bool:
    """Whether a message names a time: in these words, or in any where a model worked out the date itself."""
    if period(literal.text) is None:
        return is_said(literal.text, message)
    return SPOKEN.search(message) is not None


def _resolved(expression: Expression, message: Message) -> Expression:
    if isinstance(expression, Joined):
        return Joined(expression.every, tuple(_resolved(part, message) for part in expression.parts))
    if isinstance(expression, Not):
        return Not(_resolved(expression.part, message))
    if isinstance(expression, Known):
        return expression
    kind = message.fields[expression.field].kind
    if kind == "date":
        return _dated(expression, message.today)
    if kind == "list" and expression.operator == "=":
        return replace(expression, operator="contains")
    return _as_kept(expression, message) if kind == "text" else expression


def _dated(test: Compared, today: date) -> Expression:
    """A comparison of a date with times in words, as one with dates."""
    if test.operator == "in":
        return joined(
            tuple(_dated(Compared(test.field, "=", (each,)), today) for each in test.literals), every=False
        )
    (literal,) = test.literals
    if period(literal.text):
        return replace(test, literals=(Literal("date", literal.text),))
    if not (span := period_of(literal.text, today)):
        raise BadInput(f"{literal.text!r} is no time; write dates like 2024-05-31, 2024-05 or 2024")
    start, end = (Literal("date", day.isoformat()) for day in span)
    if test.operator in ("=", "!="):
        within = Joined(True, (Compared(test.field, ">=", (start,)), Compared(test.field, "<", (end,))))
        return within if test.operator == "=" else Joined(True, (Known(test.field), Not(within)))
    operator = "<" if test.operator in ("<", "<=") else ">="
    return Compared(test.field, operator, (end if test.operator in ("<=", ">") else start,))


def _as_kept(test: Compared, message: Message) -> Expression:
    """A comparison of a text with values as the collection has them, where it has them in other letters.

    A value that no image has in this field, and some have in one other, is one of that.
    """
    if test.operator not in ("=", "!=", "in"):
        return test
    field, found = test.field, [_kept(each.text, test.field, message) for each in test.literals]
    if not all(found):
        others = [
            (name, [_kept(each.text, name, message) for each in test.literals])
            for name, values in message.fields.items()
            if values.kind == "text" and name != field
        ]
        others = [(name, kept) for name, kept in others if all(kept)]
        if len(others) != 1:
            return test
        field, found = others[0]
    every = tuple(dict.fromkeys(value for kept in found for value in kept))
    literals = tuple(Literal("text", value) for value in every)
    if len(literals) == 1:
        return Compared(field, "!=" if test.operator == "!=" else "=", literals)
    among: Expression = Compared(field, "in", literals)
    if len(literals) > _FEW:
        among = joined(tuple(Compared(field, "contains", (each,)) for each in test.literals), every=False)
    return Joined(True, (Known(field), Not(among))) if test.operator == "!=" else among


def _kept(text: str, field: str, message: Message) -> list[str]:
    """The values of a field that a text means: itself, a folder and those within it, else those that hold its words."""
    wanted, values = text.casefold(), message.fields[field].words
    if field == "folder":
        return [each for each in values if f"/{wanted}/" in f"/{each.casefold()}/"]
    same = [each for each in values if each == text] or [each for each in values if each.casefold() == wanted]
    return same or [
        each for each in values if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", each.casefold())
    ]

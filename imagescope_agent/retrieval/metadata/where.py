"""The language of filters: `date >= 2024-01-01 and folder = 'Rome'`, parsed to an expression (see docs/filters.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from imagescope_agent.errors import BadInput, MissingExtra, shorten
from imagescope_agent.retrieval.metadata.kinds import Kind, normal

LONGEST = 2_000  # characters
MOST_NESTED = 100  # parentheses
EXAMPLE = "date >= 2024-01-01 and folder = 'Rome'"
GRAMMAR = r"""
    ?start: any
    ?any: all (_OR all)*               -> any_of
    ?all: one (_AND one)*              -> all_of
    ?one: _NOT one                     -> negated
        | "(" any ")"
        | field COMPARISON literal     -> compared
        | field _IN several               -> member
        | field _NOT _IN several          -> no_member
        | field WORD text              -> compared
        | field _NOT WORD text         -> not_compared
        | field _IS _MISSING           -> missing
        | field _IS _NOT _MISSING      -> known
    field: NAME | QUOTED_NAME
    several: "(" literal ("," literal)* ")"
    ?literal: text | number | date | boolean
    text: STRING
    number: NUMBER
    date: DATE
    boolean: BOOLEAN

    COMPARISON: "=" | "!=" | "<=" | ">=" | "<" | ">"
    WORD.3: /(?:like|contains)\b/i
    _OR.3: /or\b/i
    _AND.3: /and\b/i
    _NOT.3: /not\b/i
    _IN.3: /in\b/i
    _IS.3: /is\b/i
    _MISSING.3: /missing\b/i
    BOOLEAN.3: /(?:true|false)\b/i
    DATE.2: /\d{4}-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d)?)?)?(?!\w)/
    NUMBER: /[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?(?![\w-])/
    NAME: /[^\W\d][\w.]*/
    QUOTED_NAME: /`[^`]+`/
    STRING: /'(?:[^']|'')*'|"(?:[^"]|"")*"/
    %ignore /\s+/
"""


@dataclass(frozen=True)
class Literal:
    """A value in a filter; `text` is what was written, without quotes."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Compared:
    """A field against literals: one of = != < <= > >= like contains, or "in" with several."""

    field: str
    operator: str
    literals: tuple[Literal, ...]


@dataclass(frozen=True)
class Known:
    """Whether an image has a field."""

    field: str


@dataclass(frozen=True)
class Not:
    """What the part is not."""

    part: Expression


@dataclass(frozen=True)
class Joined:
    """Several parts: `every` of them, or any."""

    every: bool
    parts: tuple[Expression, ...]


Expression = Compared | Known | Not | Joined


@lru_cache(maxsize=256)
def parse_where(text: str) -> Expression:
    """The expression of a filter.

    Raises:
        BadInput: it is no filter; says at which character it stops being one.
        MissingExtra: the parser is not installed.
    """
    if len(text) > LONGEST or text.count("(") > MOST_NESTED:
        raise BadInput(
            f"the filter has {len(text)} characters and {text.count('(')} parentheses; "
            f"say it in at most {LONGEST} and {MOST_NESTED}"
        )
    parser = _parser()
    from lark.exceptions import UnexpectedInput

    try:
        expression: Expression = parser.parse(text)
    except UnexpectedInput as error:
        place = getattr(error, "pos_in_stream", None)
        ended = getattr(getattr(error, "token", None), "type", "") == "$END"
        here = text[place:] if isinstance(place, int) and not ended else ""
        where = f"at {shorten(here, 30)!r}" if here else "at its end"
        raise BadInput(
            f"cannot read the filter {shorten(text)!r} {where}; write it like {EXAMPLE} (text in quotes)"
        ) from error
    return expression


def both(*filters: str) -> str:
    """The filter that is all of these; "" for none."""
    given = [each for each in filters if each.strip()]
    return given[0] if len(given) == 1 else " and ".join(f"({each})" for each in given)


@cache
def _parser() -> Any:
    try:
        from lark import Lark
    except ImportError as error:
        raise MissingExtra("filters need an extra: pip install 'imagescope-agent[filters]'") from error
    return Lark(GRAMMAR, parser="lalr", transformer=_Build())


class _Build:
    """Makes an expression of each rule of the grammar while it is read; the parts are those of the rule."""

    def any_of(self, parts: list[Any]) -> Expression:
        return parts[0] if len(parts) == 1 else Joined(False, tuple(parts))

    def all_of(self, parts: list[Any]) -> Expression:
        return parts[0] if len(parts) == 1 else Joined(True, tuple(parts))

    def negated(self, parts: list[Any]) -> Expression:
        return parts[0].part if isinstance(parts[0], Not) else Not(parts[0])

    def compared(self, parts: list[Any]) -> Expression:
        field, operator, literal = parts
        return Compared(field, str(operator).lower(), (literal,))

    def not_compared(self, parts: list[Any]) -> Expression:
        return _unlike(self.compared(parts), parts[0])

    def member(self, parts: list[Any]) -> Expression:
        return Compared(parts[0], "in", parts[1])

    def no_member(self, parts: list[Any]) -> Expression:
        return _unlike(self.member(parts), parts[0])

    def missing(self, parts: list[Any]) -> Expression:
        return Not(Known(parts[0]))

    def known(self, parts: list[Any]) -> Expression:
        return Known(parts[0])

    def field(self, parts: list[Any]) -> str:
        return normal(str(parts[0]).strip("`"))

    def several(self, parts: list[Any]) -> tuple[Literal, ...]:
        return tuple(parts)

    def text(self, parts: list[Any]) -> Literal:
        quote, inner = parts[0][0], str(parts[0][1:-1])
        return Literal("text", normal(inner.replace(quote * 2, quote)))

    def number(self, parts: list[Any]) -> Literal:
        return Literal("number", str(parts[0]))

    def date(self, parts: list[Any]) -> Literal:
        return Literal("date", str(parts[0]))

    def boolean(self, parts: list[Any]) -> Literal:
        return Literal("boolean", str(parts[0]).lower())


def _unlike(expression: Expression, field: str) -> Expression:
    """`not in`, `not like`: as with !=, an image without the field is not meant."""
    return Joined(True, (Known(field), Not(expression)))

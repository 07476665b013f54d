"""The language of filters: what it says, compared with SQLite row by row, and what it refuses."""

from __future__ import annotations

import sqlite3
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.retrieval.metadata import where
from imagescope_agent.retrieval.metadata.kinds import period
from imagescope_agent.retrieval.metadata.mask import mask_of
from imagescope_agent.retrieval.metadata.table import Column, column_of
from imagescope_agent.retrieval.metadata.where import both, parse_where


class Table:
    """Columns in memory."""

    def __init__(self, **columns: Column) -> None:
        self.columns = columns

    def column(self, name: str) -> Column:
        if name not in self.columns:
            raise BadInput(f"there is no field {name!r}")
        return self.columns[name]


def day(text: str) -> int:
    found = period(text)
    assert found is not None
    return found[0]


DATES = [
    "2023-12-31T23:59:59",
    "2024-01-01",
    "2024-06-15T12:30:00",
    None,
    "2025-01-01",
    "2024-12-31T23:59:59",
]
TABLE = Table(
    n=column_of("number", [1.0, 2.0, None, -3.5, 2.0, 10.0]),
    t=column_of("text", ["Rome", "rome/old", None, "Málaga", "O'Hare", "100%"]),
    d=column_of("date", [None if each is None else day(each) for each in DATES]),
    b=column_of("boolean", [True, False, None, True, False, None]),
    tags=column_of("list", [("sea", "sun"), ("Sun set",), None, (), ("sea",), ("mountain",)]),
)


def rows(text: str) -> list[int]:
    return [row for row, hit in enumerate(mask_of(parse_where(text), TABLE)) if hit]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("n = 2", [1, 4]),
        ("n != 2", [0, 3, 5]),  # a missing value is never compared
        ("not n = 2", [0, 2, 3, 5]),  # but is not equal either
        ("n in (1, 10)", [0, 5]),
        ("n not in (1, 10)", [1, 3, 4]),
        ("n >= -3.5 and n < 2 or n = 1e1", [0, 3, 5]),
        ("(n = 1 or n = 2) and not (t = 'Rome')", [1, 4]),
        ("t = 'Rome'", [0]),
        ('t = "Rome"', [0]),
        ("t = 'O''Hare'", [4]),
        ("t > 'P'", [0, 1]),
        ("t contains 'ROME'", [0, 1]),
        ("t not contains 'rome'", [3, 4, 5]),
        ("t like 'rome/%'", [1]),
        ("t like '_ome%'", [0, 1]),
        ("t like '100_'", [5]),
        ("t = 'Ma\u0301laga'", [3]),  # decomposed, as macOS writes names
        ("t is missing", [2]),
        ("t is not missing AND N = 1".replace("N", "n"), [0]),
        ("d = 2024-06-15", [2]),
        ("d = 2024", [1, 2, 5]),
        ("d <= 2024-01-01", [0, 1]),
        ("d > 2024-01-01", [2, 4, 5]),
        ("d < 2024-01", [0]),
        ("d >= '2024-12'", [4, 5]),
        ("d != 2024", [0, 4]),
        ("d in (2023, 2025-01-01)", [0, 4]),
        ("d >= 2024-06-15T12:30 and d <= 2024-06-15T12:30", [2]),
        ("b = true", [0, 3]),
        ("b != true", [1, 4]),
        ("tags contains 'SEA'", [0, 4]),
        ("tags contains 'sun'", [0]),  # an item, not a part of one
        ("tags like 'sun%'", [0, 1]),
        ("tags is missing", [2]),
        ("`n` = 1", [0]),
    ],
)
def test_what_a_filter_matches(text: str, wanted: list[int]) -> None:
    assert rows(text) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at its end"),
        ("n =", "at its end"),
        ("n == 1", "at '= 1'"),
        ("n = 1 and", "at its end"),
        ("n = 1 n = 2", "at 'n = 2'"),
        ("n = Rome", "text in quotes"),
        ("d = 2024-02-30", "d is a date"),
        ("d = 15", "a date such as"),
        ("n = 'one'", "n is a number"),
        ("t = 5", "text in quotes"),
        ("b = 1", "true or false"),
        ("b < true", "does not compare"),
        ("n contains '1'", "does not compare"),
        ("tags = 'sea'", "use like, contains"),
        ("x = 1", "no field 'x'"),
        ("n = 1; drop table images", "cannot read"),
        ("__import__('os').system('true')", "cannot read"),
        ("n = 1 " * 400, "at most 2000"),
        ("(" * 300 + "n = 1" + ")" * 300, "parentheses"),
        ("\ud800 = 1", "cannot read"),
    ],
)
def test_what_is_no_filter_is_told_in_one_line(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told.replace("(", r"\(")) as error:
        rows(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("text", ["not " * 400 + "n = 1", "(" * 99 + "n = 1" + ")" * 99])
def test_deep_filters_are_read(text: str) -> None:
    assert rows(text) == [0]


def test_a_pattern_takes_no_more_than_length_times_length() -> None:
    """A backtracking matcher would never come to an end with this one."""
    table = Table(t=column_of("text", ["a" * 10_000]))
    assert not mask_of(parse_where("t like '" + "%a" * 300 + "%b'"), table).any()


def test_filters_are_joined_as_wholes() -> None:
    assert both("", " ") == "" and both("n = 1", "") == "n = 1"
    assert rows(both("n = 1 or n = 2", "t contains 'rome'")) == [0, 1]


def test_without_the_parser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    where._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "lark", None)
    with pytest.raises(MissingExtra, match=r"imagescope-agent\[filters\]"):
        parse_where("n = 123456")
    monkeypatch.undo()
    where._parser.cache_clear()


@pytest.mark.parametrize("text", ["2024", "2024-02", "2024-02-29", "2024-02-29T23:59", "2024-12-31T23:59:59"])
def test_a_date_is_all_of_the_time_that_it_names(text: str) -> None:
    found = period(text)
    assert found is not None
    start, end = (datetime.fromtimestamp(each / 1e6, tz=None) for each in (found[0], found[1] - 1))
    assert (end - start).total_seconds() > 0.5 and period(f"{text}x") is None


SQL = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
NUMBERS = [None, -2, 0, 1, 7]
TEXTS = [None, "", "a", "Ab", "b%", "zoo"]
tests = some.one_of(
    some.tuples(some.just("n"), some.sampled_from(sorted(SQL)), some.sampled_from(NUMBERS[1:])),
    some.tuples(some.just("t"), some.sampled_from(sorted(SQL)), some.sampled_from(TEXTS[1:])),
    some.tuples(some.just("t"), some.just("like"), some.sampled_from(["a%", "%b%", "_b", "%", "z_o"])),
    some.tuples(some.sampled_from("nt"), some.just("missing"), some.none()),
)
expressions = some.recursive(
    tests,
    lambda inner: some.one_of(
        some.tuples(some.just("not"), inner), some.tuples(some.sampled_from(["and", "or"]), inner, inner)
    ),
    max_leaves=8,
)


def written(expression: Any, sql: bool) -> str:
    """The same expression as a filter, and as SQLite has it."""
    if expression[0] == "not":
        return f"not ({written(expression[1], sql)})"
    if expression[0] in ("and", "or"):
        return f"({written(expression[1], sql)}) {expression[0]} ({written(expression[2], sql)})"
    name, operator, value = expression
    if operator == "missing":
        return f"{name} is {'null' if sql else 'missing'}"
    quoted = f"'{value}'" if isinstance(value, str) else str(value)
    return (
        f"coalesce({name} {SQL.get(operator, 'like')} {quoted}, 0)" if sql else f"{name} {operator} {quoted}"
    )


@given(expressions, some.lists(some.tuples(some.sampled_from(NUMBERS), some.sampled_from(TEXTS)), min_size=1))
def test_filters_match_what_sqlite_finds(expression: Any, table: list[tuple[Any, Any]]) -> None:
    base = sqlite3.connect(":memory:")
    base.execute("create table images (n number, t text)")
    base.executemany("insert into images values (?, ?)", table)
    found = base.execute(f"select rowid - 1 from images where {written(expression, sql=True)} order by 1")
    columns = Table(
        n=column_of("number", [None if n is None else float(n) for n, _ in table]),
        t=column_of("text", [t for _, t in table]),
    )
    mask = mask_of(parse_where(written(expression, sql=False)), columns)
    assert [row for (row,) in found] == mask.nonzero()[0].tolist()
    base.close()


def test_the_filters_of_the_documentation_can_be_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "filters.md").read_text(encoding="utf-8")
    language = page.partition("## The language")[2].split("```")[1]
    lines = language.strip().splitlines()
    assert len(lines) > 5 and all(parse_where(line) for line in lines)
    assert where.EXAMPLE in lines

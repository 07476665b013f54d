"""Times as people name them, on a Sunday in November."""

from __future__ import annotations

from datetime import date

import pytest

from imagescope_agent.nodes.chat.language.periods import SPOKEN, period_of

TODAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("said", "start", "end"),
    [
        ("last summer", "2026-06-01", "2026-09-01"),
        ("the summer of 2019", "2019-06-01", "2019-09-01"),
        ("last winter", "2025-12-01", "2026-03-01"),
        ("winter 2022", "2022-12-01", "2023-03-01"),
        ("2021", "2021-01-01", "2022-01-01"),
        ("in June", "2026-06-01", "2026-07-01"),
        ("december", "2025-12-01", "2026-01-01"),
        ("Sept 2020", "2020-09-01", "2020-10-01"),
        ("5 June 2022", "2022-06-05", "2022-06-06"),
        ("June 5th, 2022", "2022-06-05", "2022-06-06"),
        ("the 12th of June", "2026-06-12", "2026-06-13"),
        ("2022-05", "2022-05-01", "2022-06-01"),
        ("yesterday", "2026-11-28", "2026-11-29"),
        ("the day before yesterday", "2026-11-27", "2026-11-28"),
        ("last Sunday", "2026-11-22", "2026-11-23"),
        ("last week", "2026-11-16", "2026-11-23"),
        ("last weekend", "2026-11-21", "2026-11-23"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("the year before last", "2024-01-01", "2025-01-01"),
        ("the last 3 weeks", "2026-11-08", "2026-11-30"),
        ("the past year", "2025-11-29", "2026-11-30"),
        ("3 days ago", "2026-11-26", "2026-11-27"),
        ("two years ago", "2024-01-01", "2025-01-01"),
        ("the nineties", "1990-01-01", "2000-01-01"),
        ("the 1990s", "1990-01-01", "2000-01-01"),
        ("last Christmas", "2025-12-24", "2025-12-27"),
    ],
)
def test_a_time_in_words_is_days(said: str, start: str, end: str) -> None:
    found = period_of(said, TODAY)
    assert found is not None and [day.isoformat() for day in found] == [start, end]
    assert SPOKEN.search(said)


@pytest.mark.parametrize(
    "said", ["Rome", "31 February 2020", "a boat", "2020-13", "0000", "last", "", "99999 years ago"]
)
def test_what_is_no_time_is_none(said: str) -> None:
    assert period_of(said, TODAY) is None


def test_a_season_that_goes_on_is_not_the_last_one() -> None:
    july = date(2026, 7, 10)
    assert period_of("last summer", july) == (date(2025, 6, 1), date(2025, 9, 1))
    assert period_of("this summer", july) == (date(2026, 6, 1), date(2026, 9, 1))

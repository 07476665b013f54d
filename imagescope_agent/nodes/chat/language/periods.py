"""Times as people name them, from a given today: "last summer", "June 2021", "3 days ago", "the nineties"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

Period = tuple[date, date]  # first day, and the day after the last

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: First month of three, in the north.
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_DECADES = {"twenties": 2, "thirties": 3, "forties": 4, "fifties": 5, "sixties": 6, "seventies": 7, "eighties": 8,
            "nineties": 9}  # fmt: skip
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "couple of": 2, "a couple of": 2, "three": 3, "few": 3, "a few": 3,
            "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12}  # fmt: skip
_MONTH = "|".join(rf"{name[:3]}(?:{name[3:]})?" for name in _MONTHS if name[3:]) + "|may|sept"
_MONTH = rf"(?P<month>{_MONTH})\.?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_NUMBER = rf"(?P<number>\d{{1,3}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>day|week|month|year)s?"
_WHICH = r"(?:(?P<which>last|past|previous|this|the last|the past) )?"
#: Words by which a message speaks of time at all; of numbers years, days of a month, and dates ("3/5", "90s").
SPOKEN = re.compile(
    rf"\b(?:{_MONTH.replace('(?P<month>', '(?:')}|{'|'.join(_SEASONS)}|{'|'.join(_DAYS)}|{'|'.join(_DECADES)}|today|"
    r"yesterday|tonight|(?:day|week|weekend|month|year|decade|century)s?|christmas|easter|recent\w*|lately|"
    r"ago|since|newest|latest|oldest|(?:1[89]|20)\d\d|(?:\d\d)?\d0s|\d+(?:st|nd|rd|th)|\d+[-/.]\d+)\b",
    re.I,
)


def period_of(text: str, today: date) -> Period | None:
    """The days that a text names; None where it names none.

    A month or season without a year is the last one that has begun, "last summer" the last one that is over.
    """
    words = re.sub(r"[\s,]+", " ", text.lower()).strip(" .!?'\"")
    words = re.sub(r"^(?:in|on|at|during|from|of)\s+", "", words)
    words = re.sub(r"^the (?=\d|year (?!before)|month |spring|summer|autumn|fall|winter|end)", "", words)
    for pattern, find in _FORMS:
        if match := pattern.fullmatch(words):
            try:
                return find(match, today)
            except (ValueError, OverflowError):  # no such day
                return None
    return None


def _month(year: int, month: int, count: int = 1) -> Period:
    """`count` months from one on; `month` may be beyond December, or before January."""
    first, last = (year * 12 + month - 1 + each for each in (0, count))
    return date(first // 12, first % 12 + 1, 1), date(last // 12, last % 12 + 1, 1)


def _latest(find: Callable[[int], Period], today: date, *, over: bool) -> Period:
    """Of a yearly time the last that has begun, or that is over."""
    years = (find(today.year - back) for back in range(3))
    return next(span for span in years if (span[1] <= today if over else span[0] <= today))


def _named_month(match: re.Match[str], today: date) -> Period:
    month = next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(match["month"][:3]))
    groups = match.groupdict()
    if groups.get("day"):
        year = groups.get("year") or _latest(lambda year: _month(year, month), today, over=False)[0].year
        first = date(int(year), month, int(groups["day"]))
        return first, first + timedelta(days=1)
    if groups.get("year"):
        return _month(int(groups["year"]), month)
    over = (groups.get("which") or "this") != "this"
    return _latest(lambda year: _month(year, month), today, over=over)


def _season(match: re.Match[str], today: date) -> Period:
    first, groups = _SEASONS[match["season"]], match.groupdict()
    if groups.get("year"):
        return _month(int(groups["year"]), first, 3)
    over = (groups.get("which") or "this") != "this"
    return _latest(lambda year: _month(year, first, 3), today, over=over)


def _day(text: str, today: date) -> Period:
    back = {"today": 0, "this morning": 0, "tonight": 0, "yesterday": 1, "the day before yesterday": 2}[text]
    first = today - timedelta(days=back)
    return first, first + timedelta(days=1)


def _weekday(match: re.Match[str], today: date) -> Period:
    back = (today.weekday() - _DAYS.index(match["weekday"])) % 7
    first = today - timedelta(days=back or (7 if match["which"] in ("last", "past", "previous") else 0))
    return first, first + timedelta(days=1)


def _this_or_last(match: re.Match[str], today: date) -> Period:
    back = 0 if match["which"] == "this" else 1
    monday = today - timedelta(days=today.weekday())
    unit = match["unit"]
    if unit == "weekend":
        first = monday + timedelta(days=5 - 7 * (back or int(today.weekday() < 5)))
        return first, first + timedelta(days=2)
    if unit == "week":
        first = monday - timedelta(days=7 * back)
        return first, first + timedelta(days=7)
    return _month(today.year, today.month - back) if unit == "month" else _month(today.year - back, 1, 12)


def _number(match: re.Match[str]) -> int:
    number = match.groupdict().get("number") or "one"
    return _NUMBERS.get(number) or int(number)


def _back(today: date, number: int, unit: str) -> date:
    if unit in ("day", "week"):
        return today - timedelta(days=number * (7 if unit == "week" else 1))
    first = _month(today.year, today.month - number * (12 if unit == "year" else 1))
    return first[0] + timedelta(days=min(today.day, (first[1] - first[0]).days) - 1)


def _span(match: re.Match[str], today: date) -> Period:
    return _back(today, _number(match), match["unit"]), today + timedelta(days=1)


def _ago(match: re.Match[str], today: date) -> Period:
    """As precisely as it is said: a year ago is all of that year."""
    first, unit = _back(today, _number(match), match["unit"]), match["unit"]
    if unit in ("year", "month"):
        return _month(first.year, 1, 12) if unit == "year" else _month(first.year, first.month)
    first -= timedelta(days=first.weekday() if unit == "week" else 0)
    return first, first + timedelta(days=7 if unit == "week" else 1)


def _decade(match: re.Match[str], today: date) -> Period:
    groups = match.groupdict()
    tens = _DECADES[groups["word"]] if groups.get("word") else int(match["tens"][-1])
    century = groups.get("century") or ("20" if tens <= today.year % 100 // 10 else "19")
    year = int(century) * 100 + tens * 10
    return _month(year, 1, 120)


def _christmas(match: re.Match[str], today: date) -> Period:
    def find(year: int) -> Period:
        return date(year, 12, 24), date(year, 12, 27)

    if match["year"]:
        return find(int(match["year"]))
    return _latest(find, today, over=(match["which"] or "") != "this")


def _iso(match: re.Match[str], today: date) -> Period:
    first = date(int(match["year"]), int(match["number"]), int(match["day"] or 1))
    return (first, first + timedelta(days=1)) if match["day"] else _month(first.year, first.month)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], Period]], ...] = tuple(
    (re.compile(pattern), find)
    for pattern, find in (
        (rf"(?:year )?{_YEAR}", lambda match, today: _month(int(match["year"]), 1, 12)),
        (r"(?P<year>\d{4})-(?P<number>\d\d)(?:-(?P<day>\d\d))?(?:t.*)?", _iso),
        (rf"{_DAY} (?:of )?{_MONTH}(?: (?:of )?{_YEAR})?", _named_month),
        (rf"{_MONTH} (?:the )?{_DAY}(?: {_YEAR})?", _named_month),
        (rf"{_MONTH} (?:of )?{_YEAR}", _named_month),
        (rf"{_WHICH}{_MONTH}", _named_month),
        (rf"(?P<season>{'|'.join(_SEASONS)}) (?:of )?{_YEAR}", _season),
        (rf"{_WHICH}(?P<season>{'|'.join(_SEASONS)})", _season),
        (r"today|yesterday|tonight|this morning|the day before yesterday", lambda match, today: _day(match[0], today)),
        (rf"{_WHICH}(?P<weekday>{'|'.join(_DAYS)})", _weekday),
        (r"the (?:past|last) (?P<unit>day|week|month|year)", _span),
        (r"(?P<which>this|last|past|previous|the last) (?P<unit>weekend|week|month|year)", _this_or_last),
        (r"(?:the )?year before last", lambda match, today: _month(today.year - 2, 1, 12)),
        (rf"(?:the )?(?:last|past|previous) {_NUMBER} {_UNIT}", _span),
        (rf"(?:about )?{_NUMBER} {_UNIT} ago", _ago),
        (r"(?:the )?(?P<century>19|20)(?P<tens>\d)0'?s", _decade),
        (r"(?:the )?'?(?P<tens>\d)0'?s", _decade),
        (rf"(?:the )?(?P<word>{'|'.join(_DECADES)})", _decade),
        (rf"{_WHICH}christmas(?: (?:of )?{_YEAR})?", _christmas),
    )
)  # fmt: skip

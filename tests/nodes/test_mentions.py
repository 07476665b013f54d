"""What a message mentions that images may be limited by, and what is left of it without."""

from __future__ import annotations

from datetime import date

import pytest

from imagescope_agent.nodes.chat.language.limits import Message, Values
from imagescope_agent.nodes.chat.language.mentions import mentions, without_words

FIELDS = {
    "date": Values("date"),
    "camera": Values("text", ("Canon EOS R6", "Nikon D750")),
    "folder": Values("text", ("", "Oslo", "Rome", "Rome/day2")),
    "owner": Values("text", ("Ann", "Bo")),
    "stars": Values("number"),
    "favourite": Values("boolean"),
    "tags": Values("list", ('["sea"]',)),
}


@pytest.mark.parametrize(
    ("said", "found", "left"),
    [
        ("only from last summer", ["date: last summer"], ""),
        ("a red boat from Rome, taken last June", ["folder: Rome", "date: last June"], "a red boat"),
        ("what lies in rome/day2", ["folder: Rome/day2"], "what lies"),
        ("between May and July 2023", ["date: May 2023", "date: July 2023"], ""),
        ("by Ann or Bo", ["owner: Ann", "owner: Bo"], ""),
        ("a cat with at least four stars", ["stars: four"], "a cat"),
        ("taken with my nikon", ["camera: Nikon"], ""),
        ("favourites only", ["favourite: true"], ""),
        ("tagged sea", ["tags: sea"], ""),
        ("not Ann's", ["owner: Ann"], ""),
        ("a house and four cats", [], "a house and four cats"),
        ("an annual boat trip", [], "an annual boat trip"),
    ],
)
def test_values_and_times_are_found_and_cut_out(said: str, found: list[str], left: str) -> None:
    seen = mentions(Message(said, FIELDS, date(2026, 11, 29)))
    assert [each.limit for each in seen] == found
    words = [said[each.start : each.end] for each in seen]
    assert without_words(said, words, [each.field for each in seen]) == left

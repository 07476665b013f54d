"""A filter that a model reads out of a message is held to the message and to what the fields are."""

from __future__ import annotations

from datetime import date

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.chat.language.limits import Message, Values, added, is_said, lifted, limited
from imagescope_agent.retrieval.metadata.where import parse_where
from imagescope_agent.retrieval.metadata.written import written

FIELDS = {
    "date": Values("date"),
    "camera": Values("text", ("Canon EOS R6", "Nikon D750", "Nikon Z6")),
    "folder": Values("text", ("", "Oslo", "Rome", "Rome/day2", "Romeo")),
    "shot by": Values("text", ("Ann", "Bo")),
    "stars": Values("number"),
    "favourite": Values("boolean"),
    "tags": Values("list", ('["sea"]',)),
}


def message(text: str) -> Message:
    return Message(text, FIELDS, date(2026, 11, 29))


@pytest.mark.parametrize(
    ("said", "proposed", "meant"),
    [
        ("only from last summer", "date = 'last summer'", "date >= 2026-06-01 and date < 2026-09-01"),
        ("nothing before March 2020", "date >= 'March 2020'", "date >= 2020-03-01"),
        ("after 2019", "date > '2019'", "date > 2019"),
        ("only those of the 90s", "date >= 1990 and date < 2000", "date >= 1990 and date < 2000"),
        ("taken on 3/5", "date = 2026-05-03", "date = 2026-05-03"),
        ("not from 2 May 2020", "date != '2 May 2020'",
         "date is not missing and not (date >= 2020-05-02 and date < 2020-05-03)"),
        ("only from last summer", "date >= 2026-06-01 and date < 2026-09", "date >= 2026-06-01 and date < 2026-09"),
        ("only those in the rome folder", "folder = 'rome'", "folder in ('Rome', 'Rome/day2')"),
        ("what lies in day2", "folder = 'day2'", "folder = 'Rome/day2'"),
        ("not the Oslo folder", "folder != 'Oslo'", "folder != 'Oslo'"),
        ("taken with my nikon", "camera = 'nikon'", "camera in ('Nikon D750', 'Nikon Z6')"),
        ("just Ann's", "folder = 'Ann'", "`shot by` = 'Ann'"),
        ("by Ann or Bo", "`shot by` in ('Ann', 'Bo')", "`shot by` in ('Ann', 'Bo')"),
        ("at least four stars", "stars >= 4", "stars >= 4"),
        ("only favourites", "favourite = true", "favourite = true"),
        ("tagged sea", "tags = 'sea'", "tags contains 'sea'"),
        ("only from Zoe", "`shot by` = 'Zoe'", "`shot by` = 'Zoe'"),
    ],
)  # fmt: skip
def test_a_filter_means_what_the_collection_has(said: str, proposed: str, meant: str) -> None:
    found = limited(proposed, "", message(said))
    assert found == meant and written(parse_where(found)) == found


@pytest.mark.parametrize(
    ("said", "proposed"),
    [
        ("a red boat", "folder = 'Rome'"),
        ("a red boat", "date = 2021"),
        ("a photo of 3 boats", "date >= 2021-05-01"),
        ("only from last summer", "date = 'last winter'"),
        ("only from Rome", "painter = 'Rome'"),
        ("only from Rome", "date = 'Rome'"),
        ("at least four stars", "stars >= 5"),
        ("a red boat", "favourite = true"),
        ("only from Rome", "folder = = 'Rome'"),
    ],
)
def test_what_the_message_does_not_say_is_refused(said: str, proposed: str) -> None:
    with pytest.raises(BadInput):
        limited(proposed, "", message(said))


def test_what_stands_needs_no_ground_in_the_message() -> None:
    standing = "folder = 'Oslo'"
    assert (
        limited("folder = 'Oslo' and stars > 3", standing, message("more than 3 stars"))
        == "folder = 'Oslo' and stars > 3"
    )
    assert added("stars > 3", standing, message("more than 3 stars")) == "folder = 'Oslo' and stars > 3"


def test_the_newer_limit_of_a_field_holds_and_one_field_may_be_lifted() -> None:
    standing = "folder = 'Oslo' and date >= 2020"
    assert (
        added("folder = 'Rome'", standing, message("in Rome"))
        == "date >= 2020 and folder in ('Rome', 'Rome/day2')"
    )
    assert lifted("folder", standing) == "date >= 2020"
    assert lifted("", standing) == lifted("camera", standing) == lifted("folder", "folder = 'Oslo'") == ""


@pytest.mark.parametrize(
    "filter_",
    [
        "not (a = 1 or b = 'it''s')",
        "a is missing and (b < 2 or c is not missing)",
        "`my field` not in (1, 2)",
        "a like 'x%'",
    ],
)
def test_a_filter_written_again_is_the_same(filter_: str) -> None:
    assert parse_where(written(parse_where(filter_))) == parse_where(filter_)


def test_a_value_is_said_whole_or_in_another_form() -> None:
    assert (
        is_said("Rome", "the ROME folder")
        and is_said("my_trip", "from my trip")
        and is_said("4", "four or more")
    )
    assert (
        not is_said("Rome", "Romeo and Juliet")
        and not is_said("4", "in 2014")
        and not is_said("A1", "a boat")
    )

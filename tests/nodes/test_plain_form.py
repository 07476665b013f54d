"""Messages in the plain form of what they say: settled alternatives, denied properties, the weather, "something"."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.chat.language.plain_form import in_plain_form
from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS, read_captions

WORDS = read_captions(
    (
        "a grey wagon in the snow",
        "a yellow wagon in the snow",
        "two small kettles in a harbour",
        "a small yellow lantern",
        "a grey kettle and a lantern at dusk",
    )
)


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("Grey or yellow? I'd say yellow.", "I'd say yellow."),
        ("a wagon or a kettle? the kettle", "the kettle"),
        ("Hm. Mauve or grey? Grey!", "Hm. Grey!"),
        ("the wagon is not grey", "no grey wagon"),
        ("wagon is not grey, wagon is mauve", "no grey wagon, wagon is mauve"),
        ("the kettles aren't small", "no small kettles"),
        ("this lantern must not be yellow", "no yellow lantern"),
        ("and it was snowing", "and it was in the snow"),
        ("it's snowing", "it's in the snow"),
    ],
)
def test_what_is_said_is_said_plainly(message: str, meant: str) -> None:
    assert in_plain_form(message, WORDS, ["a wagon", "the scene in the snow"]) == meant


@pytest.mark.parametrize(
    "message",
    [
        "Grey or yellow? not grey",
        "Grey or yellow? grey and yellow",
        "Grey or yellow?",
        "is the wagon grey or yellow? grey",
        "mauve or violet? violet",
        "the wagon is not grey, it is yellow",
        "the wagon is not grey but yellow",
        "is the wagon not grey?",
        "the wagon is not mauve",
        "the harbour is not far",
        "it was raining",
        "it was a yellow one",
        "something yellow",
    ],
)
def test_what_is_plain_or_unknown_stays(message: str) -> None:
    assert in_plain_form(message, WORDS, ["a wagon"]) == message
    assert in_plain_form(message, NO_WORDS) == message


def test_a_property_is_of_what_stands_and_a_correction_excludes_nothing() -> None:
    assert in_plain_form(said := "Grey or yellow? I'd say yellow.", WORDS, ["the scene in the snow"]) == said
    assert in_plain_form("a wagon or a kettle? the kettle", WORDS) == "the kettle"
    assert in_plain_form(said := "the wagon is not grey, it is mauve", WORDS, ["a small grey wagon"]) == said


def test_something_is_a_thing_where_nothing_is_wanted_yet() -> None:
    assert in_plain_form("something yellow", WORDS) == "a yellow thing"
    assert in_plain_form("show me anything small, please", WORDS) == "show me a small thing, please"
    for other in ("something with a wagon", "something yellow and small", "something mauve"):
        assert in_plain_form(other, WORDS) == other

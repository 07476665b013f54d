"""What rules about words must leave alone: denied sides, adverbs, "anything but", denials within a phrase."""

from __future__ import annotations

import asyncio

import pytest

from imagescope_agent.nodes.chat.language.coverage import Known, phrases, with_passed_over
from imagescope_agent.nodes.chat.language.plain_form import in_plain_form
from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.chat.language.relations import relations
from imagescope_agent.nodes.chat.language.self_repair import repaired
from imagescope_agent.nodes.chat.language.vocabulary import read_captions
from imagescope_agent.nodes.chat.statements import asks_back
from imagescope_agent.replies.parsing import StepAnswer
from tests.nodes.test_grounded_update import WORDS


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("the lantern is above the wagon", ["a lantern above a wagon"]),
        ("the lantern is not above the wagon", []),
        ("the lantern isn't left of the wagon", []),
        ("the lantern above the kettle is left of the wagon", []),
        ("the wagon went over the lantern to the left of a kettle", []),
    ],
)
def test_only_one_side_that_is_not_denied_relates_things(message: str, found: list[str]) -> None:
    assert list(relations(message, WORDS)) == found


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("the lantern was under the wagon, no, right under it",) * 2,
        ("to the left of the wagon, no, below", "below the wagon"),
        ("above the wagon, sorry, left", "left of the wagon"),
    ],
)
def test_a_side_is_repaired_by_a_side(message: str, meant: str) -> None:
    assert repaired(message, WORDS) == meant


@pytest.mark.parametrize(
    ("message", "form"),
    [
        ("the wagon is not grey", "no grey wagon"),
        ("the kettle to the left of the wagon is not grey",) * 2,
        ("a wagon that is not grey",) * 2,
        ("something grey, please", "a grey thing, please"),
        ("something grey please, a wagon",) * 2,
    ],
)
def test_a_denial_is_of_the_thing_that_a_clause_begins_with(message: str, form: str) -> None:
    assert in_plain_form(message, WORDS) == form


def test_weather_where_somebody_sits_is_no_place_of_a_picture() -> None:
    snow = read_captions(("A wagon in the snow.", "A kettle in the snow."))
    assert in_plain_form("it was snowing", snow) == "it was in the snow"
    told = "it's snowing here but the picture was sunny"
    assert in_plain_form(told, snow) == told


@pytest.mark.parametrize(
    ("text", "message", "excluded"),
    [
        ("a grey wagon", "anything but a grey wagon would do", True),
        ("a wagon", "everything but the wagon is grey", False),
    ],
)
def test_anything_but_excludes_what_it_names(text: str, message: str, excluded: bool) -> None:
    assert is_negated(text, message) is excluded


def test_what_is_excluded_is_not_wished_as_well() -> None:
    told = [StepAnswer(type="Addition", text="a grey wagon")]
    asked = with_passed_over(told, "anything but a grey wagon would do", Known([]), None, WORDS)
    assert [(each.type, each.text) for each in asyncio.run(asked)] == [("Removal", "a grey wagon")]


@pytest.mark.parametrize("message", ["make it two", "I saw two of them"])
def test_a_number_that_captions_have_is_no_property(message: str) -> None:
    counting = read_captions(("Two grey wagons on the moor.", "A wagon and two kettles."))
    assert [each.text for each in phrases(message, counting, about="a grey wagon")] == ["two grey wagons"]


def test_an_offer_is_no_question_about_the_conversation() -> None:
    assert not asks_back("would you care for a grey wagon?") and not asks_back("do you count wagons?")
    assert asks_back("do you care?")

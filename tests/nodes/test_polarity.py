"""What a message excludes is told by the words before and after the thing, in the same clause."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.chat.language.polarity import is_bare, is_negated, may_exclude
from tests.nodes.test_grounded_update import WORDS


@pytest.mark.parametrize(
    "message",
    [
        "without a lantern",
        "keep any lantern out of it",
        "I can't stand lanterns",
        "I cannot have lanterns there",
        "lanterns? none at all",
        "anything but lanterns",
        "everything other than a lantern, please",
        "lanterns must disappear",
        "lanterns are forbidden",
        "nowhere a lantern",
        "a wagon, but leave the lanterns out",
        "the lantern is out",
    ],
)
def test_what_must_not_be_there_is_excluded(message: str) -> None:
    assert is_negated("a lantern", message)


@pytest.mark.parametrize(
    "message",
    [
        "do not forget the lantern",
        "no idea, but a lantern",
        "not only a lantern",
        "I'd like lanterns, no wagons",
        "lanterns are out at sea",
        "without doubt a lantern",
        "no wagon but a lantern",
        "a wagon full stop no sorry a lantern",
        "a lantern must stay",
        "anything but that, a lantern",
    ],
)
def test_a_negation_of_something_else_excludes_nothing(message: str) -> None:
    assert not is_negated("a lantern", message)


@pytest.mark.parametrize(
    ("message", "excluded"),
    [
        ("what I do not want: a lantern", True),
        ("what I  do\nnot want: a lantern", True),
        ("it is not: a lantern", True),
        ("a wagon ? no, and lanterns??? none", True),
        ("not this: a lantern", False),
    ],
)
def test_what_stands_before_a_colon_or_behind_a_question_mark_counts(message: str, excluded: bool) -> None:
    assert is_negated("a lantern", message) is excluded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boats", "boats are the last thing in the row"),
        ("boats", "the boats are the last one on the left"),
        ("a house", "the car stands, well clear of the house"),
        ("a house", "a car that stays clear of the house"),
        ("a boat", "don't replace the boat"),
        ("a boat", "without changing the boat, add a car"),
    ],
)
def test_where_a_thing_is_or_that_it_stays_excludes_nothing(text: str, message: str) -> None:
    assert not is_negated(text, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boats", "boats are the last thing I want"),
        ("boats", "boats are the last thing on my mind"),
        ("boats", "boats are the last thing"),
        ("boats", "please steer well clear of boats"),
        ("boats", "it should stay clear of boats"),
        ("boats", "boat-free please"),
    ],
)
def test_the_last_thing_wanted_and_what_to_stay_clear_of_is_excluded(text: str, message: str) -> None:
    assert is_negated(text, message)


@pytest.mark.parametrize(
    "message",
    [
        "a yellow lantern and no grey lantern",
        "two wagons, a tall yellow lantern, but never a grey lantern",
        "the yellow lantern stays and the grey lantern must go",
    ],
)
def test_one_of_two_things_of_a_kind_is_excluded(message: str) -> None:
    assert is_negated("a grey lantern", message) and not is_negated("a yellow lantern", message)


@pytest.mark.parametrize(
    ("message", "may"),
    [
        ("looking for a wagon, it was grey", False),
        ("wagon and lantern and harbour", False),
        ("skip the wagon", True),
        ("barring any wagon", True),
        ("a lantern, forget wagons", True),
        ("forget the lantern, a wagon", False),
    ],
)
def test_a_first_message_excludes_only_with_a_word_that_takes_away(message: str, may: bool) -> None:
    assert may_exclude("a wagon", message) is may


def test_a_word_of_degree_takes_nothing_away() -> None:
    assert is_bare("a tall grey wagon", "the wagon was super duper tall and grey", WORDS)
    assert not is_bare("a tall grey wagon", "lose the super tall grey wagon", WORDS)


def test_free_excludes_only_with_of_or_from() -> None:
    assert not is_negated("a lantern", "feel free to add a lantern")
    assert is_negated("a lantern", "free of any lantern") and is_negated("a lantern", "lantern-free")

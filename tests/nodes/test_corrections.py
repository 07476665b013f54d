"""A correction that names a value alone changes the thing that has another one, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.nodes.chat.language.corrections import correction, without_opening
from imagescope_agent.nodes.chat.language.vocabulary import read_captions
from tests.nodes.test_grounded_update import WORDS, after, fact, grounded

WAGON, LANTERN, KETTLE = "a tall grey wagon", "a small yellow lantern", "a turquoise kettle"


def changed(stand: list[str], *acts: tuple[str, str]) -> Any:
    found = correction(list(map(fact, stand)), [{"act": act, "text": text} for act, text in acts], WORDS)
    return None if found is None else (found.number, found.text)


@pytest.mark.parametrize(
    ("acts", "then"),
    [
        ([("correction", "yellow, not grey")], (1, "a tall yellow wagon")),
        ([("wish", "turquoise rather than grey")], (1, "a tall turquoise wagon")),
        ([("correction", "I wrote yellow and meant grey")], (2, "a small grey lantern")),
        ([("correction", "oops, a grey one")], (2, "a small grey lantern")),
        ([("wish", "make it turquoise")], (2, "a small turquoise lantern")),
        ([("skip", "no no no"), ("wish", "a yellow wagon")], (1, "a tall yellow wagon")),
        ([("wish", "nope, a tall lantern")], (2, "a tall yellow lantern")),
        ([("wish", "a turquoise wagon, not a grey one")], (1, "a tall turquoise wagon")),
        ([("correction", "make the wagon yellow")], (1, "a tall yellow wagon")),
    ],
)
def test_the_thing_with_the_other_value_changes(acts: list[tuple[str, str]], then: tuple[int, str]) -> None:
    assert changed([WAGON, LANTERN], *acts) == then


@pytest.mark.parametrize(
    "acts",
    [
        [("wish", "a turquoise wagon")],
        [("wish", "also a turquoise one")],
        [("wish", "turquoise")],
        [("correction", "a kettle")],
        [("correction", "not grey, a trailer")],
        [("correction", "on the moor, not in the harbour")],
        [("answer", "no"), ("wish", "a yellow wagon")],
        [("withdrawal", "forget the lantern"), ("correction", "turquoise, not grey")],
        [("aside", "not grey")],
        [("correction", "the wagon is turquoise or yellow")],
        [("correction", "a grey and turquoise lantern")],
        [("wish", "wait, is there a turquoise wagon?")],
        [("wish", "actually there is a turquoise wagon next to it")],
        [("wish", "is it turquoise?")],
        [("wish", "not only grey but turquoise")],
    ],
)
def test_anything_else_is_left_to_the_talker(acts: list[tuple[str, str]]) -> None:
    assert changed([WAGON, LANTERN], *acts) is None


def test_a_number_is_no_value_of_a_property() -> None:
    words = read_captions(("two wagons", "a grey wagon", "a yellow wagon"))
    assert (
        correction([fact("a grey wagon")], [{"act": "correction", "text": "sorry, two wagons"}], words)
        is None
    )


def test_it_is_what_was_named_last() -> None:
    assert changed([WAGON, "a lantern"], ("wish", "make it turquoise")) is None
    assert changed([WAGON, "a lantern"], ("correction", "make it turquoise")) == (1, "a tall turquoise wagon")


def test_it_overrules_what_the_talker_made_of_it() -> None:
    stand = [fact(LANTERN), fact(WAGON)]
    said, wrong = "not grey, turquoise", [("Addition", "a grey lantern")]
    found = grounded(said, stand, ("correction", said), steps=wrong, drop=(1,))
    assert after(found, stand) == [("Addition", LANTERN), ("Addition", "a tall turquoise wagon")]
    assert found.update.full == "a small yellow lantern and a tall turquoise wagon" and not found.remarks


def test_it_is_said_which_of_two_was_taken() -> None:
    stand = [fact("a grey wagon"), fact("a grey kettle")]
    found = grounded("turquoise, not grey", stand, ("correction", "turquoise, not grey"))
    assert after(found, stand) == [("Addition", "a grey kettle"), ("Addition", "a turquoise wagon")]
    assert found.remarks == ['I took that to be about "a grey wagon".']


def test_a_statement_that_exchanges_a_value_is_told() -> None:
    stand, said = [fact("a lantern"), fact(WAGON)], "I like that it is turquoise"
    found = grounded(said, stand, ("wish", said))
    assert after(found, stand) == [("Addition", "a lantern"), ("Addition", "a tall turquoise wagon")]
    assert found.remarks == ['"a tall grey wagon" no longer holds, since "a tall turquoise wagon" is newer.']
    assert not grounded(said, stand, ("correction", said)).remarks
    order = "make it turquoise"
    assert not grounded(order, stand, ("wish", order)).remarks


def test_an_opening_is_no_part_of_a_wish() -> None:
    assert without_opening("no, a grey one") == "a grey one"
    assert without_opening("nothing grey") == "nothing grey" and without_opening("sorry") == "sorry"

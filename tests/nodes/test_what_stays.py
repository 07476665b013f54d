"""What of the standing facts a message leaves: the other thing of a relation, what it lies beside, the rest."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.nodes.chat.read_message import parts_of
from tests.nodes.test_grounded_update import WORDS, after, fact, grounded

LANTERN = "a yellow wagon below a lantern"


@pytest.mark.parametrize(
    ("message", "steps", "then"),
    [
        ("the lantern was grey", ["a grey lantern"], "a yellow wagon below a grey lantern"),
        ("the wagon wasn't yellow but turquoise", ["a turquoise wagon"], "a turquoise wagon below a lantern"),
        ("the wagon was tall", ["a tall wagon"], "a tall yellow wagon below a lantern"),
    ],
)
def test_a_property_of_one_thing_keeps_the_other_thing_of_a_relation(
    message: str, steps: list[str], then: str
) -> None:
    facts = [fact("a kettle"), fact(LANTERN)]
    given = [("Addition", text) for text in steps]
    found = grounded(message, facts, ("correction", message), steps=given, drop=(2,))
    assert after(found, facts) == [("Addition", "a kettle"), ("Addition", then)]


@pytest.mark.parametrize(
    "said", ["swap the wagon for a grey lantern", "not a wagon but a grey lantern", "no, just a grey lantern"]
)
def test_what_takes_the_place_of_a_relation_is_not_told_in_it(said: str) -> None:
    facts = [fact(LANTERN)]
    found = grounded(said, facts, ("correction", said), steps=[("Addition", "a grey lantern")], drop=(1,))
    assert ("Addition", "a grey lantern") in after(found, facts)
    assert not any("below" in text for _, text in after(found, facts))


def test_properties_of_both_things_of_a_relation_are_told_in_one() -> None:
    said, facts = "the lantern is grey, the wagon turquoise", [fact(LANTERN)]
    steps = [("Addition", "a grey lantern"), ("Addition", "a turquoise wagon")]
    found = grounded(said, facts, ("correction", said), steps=steps, drop=(1,))
    wagons = [text for _, text in after(found, facts) if "wagon" in text]
    assert not any("yellow" in text for text in wagons)


def test_a_withdrawal_of_two_facts_takes_both_back() -> None:
    said, facts = "remove the wagon and the kettle", [fact("a wagon"), fact("a grey kettle")]
    assert after(grounded(said, facts, ("withdrawal", said), drop=(1, 2)), facts) == []


def test_a_relation_goes_with_a_thing_that_is_excluded() -> None:
    said, facts = "no lantern, the wagon is grey", [fact(LANTERN)]
    steps = [("Removal", "a lantern"), ("Addition", "a grey wagon")]
    found = grounded(said, facts, ("correction", said), steps=steps, drop=(1,))
    assert after(found, facts) == [("Removal", "a lantern"), ("Addition", "a grey wagon")]


def test_a_withdrawal_takes_back_the_fact_that_it_names_in_full_whichever_the_talker_took() -> None:
    said, facts = (
        "forget the yellow wagon",
        [fact("a yellow wagon"), fact("a kettle left of a yellow lantern")],
    )
    found = grounded(said, facts, ("withdrawal", said), drop=(2,))
    assert after(found, facts) == [("Addition", "a kettle left of a yellow lantern")]
    assert any("it stays" in each["detail"] for each in found.notes)
    lantern = grounded("forget the lantern", facts, ("withdrawal", "forget the lantern"), drop=(2,))
    assert after(lantern, facts) == [("Addition", "a yellow wagon")]


def test_what_lies_beside_a_thing_does_not_replace_it() -> None:
    said, facts = "the lantern next to it is grey", [fact("a wagon")]
    found = grounded(said, facts, ("correction", said), steps=[("Addition", "a grey lantern")], drop=(1,))
    assert after(found, facts) == [("Addition", "a wagon"), ("Addition", "a grey lantern")]


def test_a_property_of_something_unknown_beside_a_thing_is_not_the_thing_s() -> None:
    said, facts = "the trumpet next to it is grey", [fact("a wagon")]
    found = grounded(said, facts, ("wish", said), steps=[("Addition", "a grey kettle")])
    assert after(found, facts) in (
        [("Addition", "a wagon")],
        [("Addition", "a wagon"), ("Addition", said)],
    )


def test_a_search_goes_on_where_only_a_part_of_it_is_taken_back() -> None:
    said, facts = "lose the wagon, a grey lantern", [fact("a wagon"), fact("a grey kettle")]
    acts = (("withdrawal", "lose the wagon"), ("wish", "a grey lantern"))
    found = grounded(said, facts, *acts, steps=[("Addition", "a grey lantern")], topic="new")
    assert after(found, facts) == [("Addition", "a grey kettle"), ("Addition", "a grey lantern")]
    assert not found.remarks


def test_a_value_that_another_fact_has_already_leaves_one_fact() -> None:
    said, facts = "the wagon is grey", [fact("a grey wagon"), fact("a turquoise wagon")]
    found = grounded(said, facts, ("correction", said))
    assert after(found, facts) == [("Addition", "a grey wagon")]


@pytest.mark.parametrize(
    ("part", "act"),
    [
        ("lose the wagon", "withdrawal"),
        ("drop the grey wagon", "withdrawal"),
        ("drop the wagon somewhere lower", "wish"),
        ("lose the kettle", "wish"),  # nobody wants one
        ("don't lose the wagon", "wish"),
        ("forget all but the wagon", "wish"),
        ("remove all the other wagons", "wish"),
        ("never mind a grey wagon", "wish"),
    ],
)
def test_what_begins_with_a_word_that_takes_back_and_names_what_stands_takes_it_back(
    part: str, act: str
) -> None:
    row = [0.01 + 0.9 * (each == "wish") for each in ACTS]
    state: Any = {"facts": [fact("a grey wagon")], "question": None, "request": "a grey wagon"}
    state |= {"turn": None, "results": [], "ranking": ["a.png"], "query": part, "reference": None}
    state["intent"] = {"steps": [], "core": "x", "enhanced": "x", "full": "x"}
    assert parts_of(part, row, state, WORDS, limits=False) == [{"text": part, "act": act}]

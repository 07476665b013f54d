"""Phrases that begin a new search, and words that only look like one."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.dialogue_acts import ACTS, split_message
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.chat.new_search import (
    WHAT_NEXT,
    split_restart,
    split_turn,
    turned,
    without_doubtful_restart,
)
from imagescope_agent.nodes.chat.read_message import is_idle, parts_of, understood
from tests.nodes.test_grounded_update import WORDS

DOG: Any = {
    "intent": {"full": "a dog on a beach"}, "facts": [{"type": "Addition", "text": "a dog on a beach"}],
    "question": None, "query": "the message", "request": "a dog on a beach",
}  # fmt: skip
FIRST: Any = {**DOG, "intent": {"full": ""}, "facts": [], "request": "the message", "ranking": []}


def acts(text: str, state: Any = DOG, **likely: float) -> list[tuple[str, str]]:
    row = [likely.get(act, 0.0) for act in ACTS]
    return [(part["act"], part["text"]) for part in parts_of(text, row, state, Vocabulary(), limits=False)]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("start over", ""),
        ("ok, let's begin again, please", ""),
        ("start over with a cat", "a cat"),
        ("start over and show me a cat", "a cat"),
        ("start over, a meadow", "a meadow"),
        ("let's do another one, a picture of a meadow", "a meadow"),
        ("start over without dogs", "without dogs"),
        ("forget everything, a cat without a collar", "a cat without a collar"),
        ("drop everything I said and find a boat", "a boat"),
        ("start from scratch, a horse", "a horse"),
        ("a cat, start over", "a cat"),
        ("instead of all that, a boat", "a boat"),
        ("something completely different", ""),
    ],
)
def test_a_phrase_is_told_from_what_is_wished_beside_it(text: str, rest: str) -> None:
    found = split_restart(text)
    assert found is not None and found.rest == rest
    assert acts(text, restart=0.6, aside=0.4)[0] == ("restart", found.phrase)
    assert acts(text, restart=0.6, aside=0.4)[1:] == ([("wish", rest)] if rest else [])


@pytest.mark.parametrize(
    "text",
    [
        "forget all the dogs",
        "a dog looking at something else",
        "new search engine poster",
        "start over there",
        "let's do another one, but at night",
        "let's try another picture with the dog at night",
        "add a hat, let's try another one",
    ],
)
def test_other_words_are_no_phrase(text: str) -> None:
    assert split_restart(text) is None


@pytest.mark.parametrize("likely", [0.68, 0.96])
@pytest.mark.parametrize(
    "text",
    ["a new car", "a blank page", "start of a race", "new beginnings poster", "a fresh start sign",
     "now a different angle"],
)  # fmt: skip
def test_what_names_something_is_a_wish(text: str, likely: float) -> None:
    assert acts(text, restart=likely, withdrawal=1 - likely) == [("wish", text)]


def test_a_word_that_may_begin_anew_does_so_only_where_that_is_sure() -> None:
    for text in ("clear", "over"):
        assert acts(text, restart=0.59, skip=0.41) == [("skip", text)]
    assert acts("wipe the slate", restart=0.95, skip=0.05) == [("restart", "wipe the slate")]


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        ("more", {"more": 0.6, "wish": 0.4}),
        ("start over", {"restart": 0.97}),
        ("something else", {"restart": 0.6}),
    ],
)
def test_where_nothing_stands_the_user_is_asked_what_is_next(text: str, likely: dict[str, float]) -> None:
    row = [likely.get(act, 0.0) for act in ACTS]
    update = understood(FIRST, parts_of(text, row, FIRST, Vocabulary(), limits=False))
    assert update["remarks"] == [WHAT_NEXT] and update["request"] == update["query"] == ""
    after: Any = {**FIRST, **update}
    assert is_idle(after, "filter") and "reference" not in update  # a picture beside it stays


def test_what_cannot_be_told_and_what_begins_nothing_stay_as_they_are() -> None:
    for row in ([0.1] * len(ACTS), [0.2, 0.5, *[0.0] * 7, 0.3]):
        assert without_doubtful_restart(row, "blubb", named=True) == row


def test_what_excludes_something_behind_a_new_start_is_wished() -> None:
    said: Any = [
        ("restart", "start over"),
        ("withdrawal", "a cat without a collar"),
        ("withdrawal", "drop the dog"),
    ]
    parts: Any = [{"act": act, "text": text} for act, text in said]
    update = understood(DOG, parts)
    assert update["query"] == "a cat without a collar"


def test_a_first_message_is_searched_for_without_its_phrase() -> None:
    row = [float(act == "restart") for act in ACTS]
    update = understood(FIRST, parts_of("start over with a cat", row, FIRST, Vocabulary(), limits=False))
    assert update["query"] == "a cat" == update["request"] and update["remarks"] == []


WAGONS: Any = [
    {"type": "Addition", "text": text, "predicates": []} for text in ("a grey wagon", "a yellow kettle")
]


@pytest.mark.parametrize(
    ("message", "begins"),
    [
        ("forget that, I'm after a lantern", True),
        ("Ditch this one. Now show me two lanterns", True),
        ("ok, scrap that and find me a wagon", True),
        ("never mind all that, I'd rather have a lantern", True),
        ("disregard it, exactly two lanterns", True),
        ("scratch that, a turquoise wagon", False),
        ("forget that, it was on the moor", False),
        ("skip that, show me a lantern", False),
        ("the kettle was a mistake, forget it, I want a lantern", False),
        ("forget that, I want to see more", False),
        ("drop that, I want the grey wagon back", False),
    ],
)
def test_turning_away_and_asking_for_a_thing_begins_a_new_search(message: str, begins: bool) -> None:
    parts: list[Any] = [
        {"text": piece, "act": "wish"} for part in split_message(message) for piece in split_turn(part)
    ]
    assert ("restart" in [part["act"] for part in turned(parts, WAGONS, WORDS)]) is begins

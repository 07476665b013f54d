"""Conversations without a chat model: phrases are added, exchanged, excluded and taken back by their words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.nodes.chat.fold_words import KNOWN, NOTHING_LEFT, FoldWords
from imagescope_agent.nodes.chat.language.framing import without_framing
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.state import State, new_conversation, new_turn, plain_intent

KINDS = {"dog": 0, "cat": 0, "couch": 1, "sofa": 1, "desk": 1}


class Sorts:
    """An embedder for which animals are alike, and so is furniture."""

    weights, dimension = "sorts", 3

    def texts(self, texts: Sequence[str]) -> Vectors:
        kinds = [next((KINDS[w] for w in text.split() if w in KINDS), 2) for text in texts]
        return np.eye(3, dtype=np.float32)[kinds]

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        raise NotImplementedError


def talk(*said: tuple[str, str]) -> State:
    state: Any = {**new_conversation(), **new_turn()}
    for text, act in said:
        turn = {"acts": [{"text": text, "act": act}], "query": text, "remarks": []}
        state = {**state, **turn}
        state = {**state, **asyncio.run(FoldWords(Sorts())(state))}
    found: State = state
    return found


@pytest.mark.parametrize(
    ("said", "request_"),
    [
        ([("Hi, could you find me a dog on a couch?", "wish")], "a dog on a couch"),
        ([("a dog on a couch", "wish"), ("not a dog, a cat", "correction")], "a cat on a couch"),
        ([("a dog on a couch", "wish"), ("no, a cat", "correction")], "a cat on a couch"),
        ([("a dog on a couch", "wish"), ("I meant a desk", "correction")], "a dog, a desk"),
        ([("a dog on a couch", "wish"), ("forget the couch", "withdrawal")], "a dog"),
        ([("a dog on a couch", "wish"), ("drop the dog please", "wish")], "on a couch"),
        ([("a dog", "wish"), ("without people", "wish")], "a dog, without people"),
        ([("a dog, no people", "wish"), ("two people with hats", "wish")], "a dog, two people with hats"),
        ([("a dog", "wish"), ("no dogs please", "wish")], "without dogs"),
        ([("a dog", "wish"), ("forget that, find a red boat", "withdrawal")], "a red boat"),
        ([("a dog on a beach", "wish"), ("drop the dog and show me a cat", "wish")], "on a beach, a cat"),
        ([("drop earrings", "wish")], "drop earrings"),
        ([("2 dogs", "wish"), ("make it 4 dogs", "wish")], "4 dogs"),
        ([("a red car", "wish"), ("the car is not red", "correction")], "the car, without red"),
        (
            [("a dog on a couch in a room", "wish"), ("the dog is not on the couch", "wish")],
            "a dog in a room, without on the couch",
        ),
        ([("a beach without people", "wish"), ("I want people", "wish")], "a beach, people"),
        ([("a dog near the water near the water", "wish")], "a dog near the water"),
        ([("a dog", "wish"), ("with a ball", "wish"), ("take that back", "withdrawal")], "a dog"),
        ([("a dog", "wish"), ("a dog", "wish")], "a dog"),
        ([("a dog", "wish"), ("forget the dog", "withdrawal"), ("a cat", "wish")], "a cat"),
    ],
)
def test_what_stands_after_what_was_said(said: Sequence[tuple[str, str]], request_: str) -> None:
    state = talk(*said)
    assert state["request"] == request_
    removed = [fact["text"] for fact in state["facts"] if fact["type"] == "Removal"]
    assert not any(text in state["intent"]["full"] for text in removed)


def test_what_takes_back_nothing_is_told() -> None:
    state = talk(("a dog", "wish"), ("forget the boat", "withdrawal"))
    assert state["request"] == "a dog"
    assert state["remarks"] == ['I did not understand "forget the boat".']


def test_what_is_known_already_is_told() -> None:
    assert talk(("a dog", "wish"), ("a dog", "wish"))["remarks"] == [KNOWN]


def test_that_nothing_is_left_is_told() -> None:
    assert talk(("a dog", "wish"), ("forget the dog", "withdrawal"))["remarks"] == [NOTHING_LEFT]


def test_a_conversation_that_had_no_facts_keeps_its_wish() -> None:
    before: Any = {
        **new_conversation(),
        **new_turn(),
        "intent": plain_intent("a brown horse"),
        "request": "a brown horse",
    }
    state: Any = {**before, "acts": [{"text": "on a meadow", "act": "wish"}], "query": "on a meadow"}
    assert asyncio.run(FoldWords(Sorts())(state))["request"] == "a brown horse on a meadow"


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("Hi, looking for a photo of people eating at a table", "people eating at a table"),
        ("I remember there was a red bus", "a red bus"),
        ("the picture shows two kids playing", "two kids playing"),
        ("no, a cat", "a cat"),
        ("no cat", "no cat"),
        ("find me pics of bikes thx", "bikes"),
        ("is there a dog?", "a dog"),
        ("please", "please"),
        ("likes", "likes"),
        ("well-dressed man", "well-dressed man"),
        ("Hello Kitty lunchbox", "Hello Kitty lunchbox"),
        ("show jumping horse", "show jumping horse"),
        ("search dog in snow", "search dog in snow"),
        ("I am sure there was a moon", "a moon"),
        ("no wait, a dog", "a dog"),
        ("oh hang on, a train", "a train"),
        ("please feel free to add a frisbee", "a frisbee"),
        ("no waiting room", "no waiting room"),
        ("ok so um, I am after, like, a picture where there is a dog", "a dog"),
        ("Good morning, would it be possible to find a photograph of a church?", "a church"),
        ("I'd rather have a cat", "a cat"),
        ("so yeah, uh, a man riding a horse", "a man riding a horse"),
        ("let me see the harbour", "the harbour"),
        ("how about two zebras?", "two zebras"),
        ("my son wants a fire truck", "a fire truck"),
        ("like a red one", "like a red one"),
        ("let me in sign", "let me in sign"),
        ("like dogs", "like dogs"),
    ],
)
def test_what_leads_to_a_wish_is_left_out(text: str, wish: str) -> None:
    assert without_framing(text) == wish

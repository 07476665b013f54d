"""What a text excludes is told apart from what it wants, and its direction is taken off the query."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from imagescope_agent.retrieval.exclusions import split_exclusions, without_excluded

SPLIT = {
    "a beach without any people at sunset": ("a beach at sunset", ["people"]),
    "a street with no cars": ("a street", ["cars"]),
    "a birthday cake that has no candles on it": ("a birthday cake", ["candles"]),
    "mountains, but not covered in snow": ("mountains", ["covered in snow"]),
    "a dog that is not on a leash": ("a dog", ["on a leash"]),
    "a guy on a surfboard but not wearing a wetsuit": ("a guy on a surfboard", ["wearing a wetsuit"]),
    "a man who isn't wearing a hat": ("a man", ["wearing a hat"]),
    "a room without chairs, tables or people": ("a room", ["chairs", "tables", "people"]),
    "a dog, no leash, no people": ("a dog", ["leash", "people"]),
    "a bus but no people and a bike": ("a bus and a bike", ["people"]),
    "a sugar-free cake on a plate": ("a cake on a plate", ["sugar"]),
    "a cat instead of a dog": ("a cat", ["a dog"]),
    "a girl, not smiling, in a park": ("a girl, in a park", ["smiling"]),
    "nobody on a beach": ("on a beach", ["people"]),
    "no people": ("", ["people"]),
    "There should not be a tree": ("", ["a tree"]),
    "WITHOUT PEOPLE a beach": ("a beach", ["PEOPLE"]),
    "No one on the beach": ("on the beach", ["people"]),
    "İstanbul without people": ("İstanbul", ["people"]),
    "not a cat a dog": ("a dog", ["a cat"]),
    "I don't want a dog I want a cat": ("I want a cat", ["a dog"]),
    "a street at night without cars and without people": ("a street at night", ["cars", "people"]),
    "bread without butter and a knife": ("bread and a knife", ["butter"]),
    "a man, but not the one in a suit": ("a man", ["the one in a suit"]),
    "the owner is not visible": ("", ["the owner"]),
    "I don't think there was a cup": ("", ["a cup"]),
}
WANTED = [
    "a red boat",
    "do not forget the dog",
    "a red car, not only a boat",
    "a knot in a rope",
    "whether or not it rains",
    "no",
    "not",
    "without",
    "",
    "  ein   rotes Haus ohne Dach ",
    "a north wind, a notebook and a note",
    "no parking sign",
    "a sign that says 'no smoking'",
    "a sign that says no parking",
    "without a doubt a red car",
    "do not enter sign",
    "No 5 Chanel perfume",
    "not unlike a castle",
    "no more than three dogs",
    "no one but a man",
    "a duty-free shop",
    "excluded children",
]


@pytest.mark.parametrize("text", SPLIT)
def test_what_is_excluded_is_told_apart(text: str) -> None:
    wanted, excluded = SPLIT[text]
    assert split_exclusions(text) == (wanted, tuple(excluded))


@pytest.mark.parametrize("text", WANTED)
def test_a_text_that_excludes_nothing_stays_as_it_is(text: str) -> None:
    assert split_exclusions(text) == (text, ())


@pytest.mark.parametrize(
    "said", ["no x and ", "no x, ", "not ", "a-free ", "without a, ", "'", '"a ', "no-one "]
)
def test_a_hostile_text_is_read_in_one_pass(said: str) -> None:
    def steps(text: str) -> int:
        count = 0

        def trace(*_: object) -> object:
            nonlocal count
            count += 1
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            split_exclusions(text)
        finally:
            sys.settrace(None)
        return count

    assert steps(said * 200) < 2.5 * steps(said * 100) + 500, "lines run grow with the text, not faster"


def test_the_excluded_direction_is_taken_off_and_what_it_shares_stays() -> None:
    wanted = np.array([[1.0, 0, 0]], np.float32)
    excluded = np.array([[0.6, 0.8, 0]], np.float32)
    found = without_excluded(wanted, excluded, 0.5)
    assert found == pytest.approx(np.array([[1, -0.5, 0]]) / np.sqrt(1.25))
    assert without_excluded(wanted, excluded[:0], 0.5) is wanted
    assert without_excluded(wanted, wanted, 0.5) == pytest.approx(wanted), "nothing of its own is excluded"

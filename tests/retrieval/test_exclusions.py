"""What a text excludes is told apart from what it wants, and its direction is taken off the query."""

from __future__ import annotations

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
]


@pytest.mark.parametrize("text", SPLIT)
def test_what_is_excluded_is_told_apart(text: str) -> None:
    wanted, excluded = SPLIT[text]
    assert split_exclusions(text) == (wanted, tuple(excluded))


@pytest.mark.parametrize("text", WANTED)
def test_a_text_that_excludes_nothing_stays_as_it_is(text: str) -> None:
    assert split_exclusions(text) == (text, ())


def test_a_long_text_is_split_soon() -> None:
    text = "a dog without a leash, no cats or birds, " * 400
    assert len(split_exclusions(text).excluded) == 1_200


def test_the_excluded_direction_is_taken_off_and_what_it_shares_stays() -> None:
    wanted = np.array([[1.0, 0, 0]], np.float32)
    excluded = np.array([[0.6, 0.8, 0]], np.float32)
    found = without_excluded(wanted, excluded, 0.5)
    assert found == pytest.approx(np.array([[1, -0.5, 0]]) / np.sqrt(1.25))
    assert without_excluded(wanted, excluded[:0], 0.5) is wanted
    assert without_excluded(wanted, wanted, 0.5) == pytest.approx(wanted), "nothing of its own is excluded"

"""What captions tell of their words, and typing errors in those words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from imagescope_agent.nodes.chat.language import spelling
from imagescope_agent.nodes.chat.language.places import place_in
from imagescope_agent.nodes.chat.language.spelling import corrected, is_misspelling, meant
from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS, read_captions

WORDS = read_captions(
    (
        "A small yellow lantern and a tall wagon, in the harbour.",
        "A tall yellow wagon beside a lantern, at midnight.",
        "A small turquoise umbrella, in the harbour.",
    )
)


def test_things_end_phrases_and_places_end_captions() -> None:
    assert all(map(WORDS.is_head, ("lantern", "wagons", "umbrella"))) and not WORDS.is_head("yellow")
    assert (
        WORDS.is_place("in", "harbour")
        and WORDS.place_of("midnight") == "at"
        and WORDS.place_of("harbour") == "in the"
    )
    assert WORDS.place_of("lantern") == ""


def test_properties_that_never_stand_together_are_alternatives() -> None:
    assert WORDS.go_together("small", "yellow") and WORDS.go_together("yellow", "tall")
    assert not WORDS.go_together("turquoise", "yellow") and not WORDS.go_together("small", "tall")


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("yelow", "yellow"), ("yellwo", "yellow"), ("lanterm", "lantern"), ("wagom", "wagon"), ("umbrela", "umbrella"),
        ("lantren", "lantern"), ("smaall", "small"), ("withuot", "without"), ("turquiose", "turquoise"),
        ("lanterns", ""), ("yellow", ""), ("mellow", ""), ("dragon", ""), ("stall", ""), ("wag", ""), ("tell", ""),
    ],
)  # fmt: skip
def test_one_typing_error_is_read(word: str, known: str) -> None:
    assert meant(word, WORDS) == known


REAL = read_captions(
    (
        "a bridge and a house on the coast, a table with a dessert and a green umbrella",
        "the trail of a silver angel, bread for dinner, a yellow horse",
    )
)


@pytest.mark.parametrize(
    "word",
    "bride hose cost tale cast desert trial sliver angle beard diner".split(),  # noqa: SIM905
)
def test_a_real_word_is_no_typing_error_in_another_one(word: str) -> None:
    assert meant(word, REAL) == ""


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("gren", "green"),
        ("yelow", "yellow"),
        ("hosue", "house"),
        ("umbrela", "umbrella"),
        ("desssert", "dessert"),
    ],
)
def test_a_double_or_exchanged_letter_is_one(word: str, known: str) -> None:
    assert meant(word, REAL) == known


def test_nothing_is_read_where_no_words_are_known() -> None:
    assert meant("yelow", NO_WORDS) == ""


def test_a_word_is_compared_with_those_of_its_shape_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = "bcdfghjklmnp"
    many = {f"{a}{b}a{c}o{d}" for a in letters for b in letters for c in letters for d in letters[:2]}
    words, compared = read_captions((" ".join(sorted(many)), "a yellow lantern")), list[str]()
    assert len(words.words) > 3000

    def comparing(word: str, known: str) -> bool:
        compared.append(known)
        return is_misspelling(word, known)

    def compiling(*_: object) -> None:
        raise AssertionError("a pattern is made for a word")

    monkeypatch.setattr(spelling, "is_misspelling", comparing)
    monkeypatch.setattr(re, "fullmatch", compiling)
    assert meant("yelow", words) == "yellow" and meant("lanterns", words) == ""
    assert set(compared) <= {"yellow", "without", "nothing", "never"}


def test_what_was_read_is_told() -> None:
    state: Any = {"query": "a yelow lantern", "acts": [{"text": "a yelow lantern", "act": "wish"}]}
    told, remarks = corrected(state, WORDS)
    assert (
        told["query"] == "a yellow lantern" == told["acts"][0]["text"] and state["query"] == "a yelow lantern"
    )
    assert remarks == ['I read "yelow" as "yellow".']


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("the scene at night", "at night"),
        ("It takes place in a harbour.", "in a harbour"),
        ("the picture was taken outdoors", "outdoors"),
        ("on a beach", "on a beach"),
        ("the background is a wall", "a wall"),
        ("the setting should be under water", "under water"),
        ("a wagon in the harbour", ""),
        ("it is red", ""),
        ("the picture is blurred", ""),
    ],
)
def test_an_instruction_about_the_surroundings_is_told_in_any_wording(text: str, place: str) -> None:
    assert place_in(text) == place


ENGLISH = frozenset(["a", "the", "wagon", "lantern", "walking", "yell", "lanterns"])


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("wgon", "wagon"),
        ("wagoon", "wagon"),
        ("watgon", "wagon"),
        ("lantenr", "lantern"),
        ("yelwol", "yellow"),
        ("turqoise", "turquoise"),
        ("shoudl", "should"),
        ("whitout", "without"),
        ("yell", ""),
        ("xylophone", ""),
        ("wgn", ""),
        ("tll", "tall"),
        ("gry", ""),  # of three letters only one without a vowel
    ],
)
def test_a_word_that_is_not_english_may_have_any_one_error(word: str, known: str) -> None:
    assert meant(word, WORDS, ENGLISH) == known


def test_names_and_other_languages_have_no_typing_errors() -> None:
    def read(text: str) -> str:
        state: Any = {"query": text, "acts": []}
        return corrected(state, WORDS, ENGLISH)[0]["query"]

    assert read("the wgon of Mr Wagton and a yellwo lantern") == "the wagon of Mr Wagton and a yellow lantern"
    assert (
        read("der Wagton ist im wagton und das ist nicht gut")
        == "der Wagton ist im wagton und das ist nicht gut"
    )

"""The messages that are measured are in words that no training material has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.lab.scenes.conditions import NUMBERS, PLURALS
from imagescope_agent.lab.scenes.dialog import changing_phrases, chat_phrases, idle_phrases, phrases
from imagescope_agent.lab.scenes.language import SETTING_WORDS, SIZE_WORDS, SYNONYMS
from imagescope_agent.lab.scenes.world import COLOURS

DATA = Path(__file__).parent / "data"
MESSAGES = tuple(f"messages-{name}.jsonl" for name in ("hand", "dev", "second", "third", "fourth", "fifth"))
WORDS = {*PLURALS, *PLURALS.values(), *COLOURS, *NUMBERS, "a", "an"}
WORDS |= {word for many in (*SIZE_WORDS.values(), *SYNONYMS.values()) for word in many}
PLACES = [place for many in SETTING_WORDS.values() for place in many]
NOUN = rf"(?:(?:{'|'.join(sorted(WORDS))})(?: |\b)){{1,4}}"
PLACE = rf"(?:{'|'.join(PLACES)})"
EITHER = rf"(?:{NOUN}|{PLACE})"
SLOTS = {"{place}": PLACE, "{old}": EITHER, "{v}": EITHER}


def templates() -> list[str]:
    """Every phrase that says something beside its slots, in two words or more."""
    rooms = (phrases, changing_phrases, idle_phrases, chat_phrases)
    found = [each for room in rooms for name, many in vars(room).items() if name.isupper() for each in many]
    return [each for each in found if len(re.sub(r"\{\w+\}", "", each).split()) > 1]


def pattern(template: str) -> re.Pattern[str]:
    pieces = [
        SLOTS.get(piece, NOUN) if piece.startswith("{") else re.escape(piece)
        for piece in re.split(r"(\{\w+\})", template)
    ]
    return re.compile(rf"\W*{''.join(pieces)}\W*", re.I)


def said_in(name: str) -> list[str]:
    """The later messages of a file that no plain yes or no is."""
    talks: list[dict[str, Any]] = [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]
    return [turn["say"] for talk in talks for turn in talk["turns"][1:] if "reply" not in turn]


@pytest.mark.parametrize("name", MESSAGES)
def test_no_phrase_of_the_training_makes_a_message_written_by_hand(name: str) -> None:
    every = [pattern(each) for each in templates()]
    assert len(every) > 1000
    assert not [text for text in said_in(name) if any(each.fullmatch(text) for each in every)]


@pytest.mark.parametrize("name", MESSAGES)
def test_no_restart_of_the_training_begins_a_message_written_by_hand(name: str) -> None:
    openers, restarts = (
        "|".join(map(re.escape, sorted(many, key=len, reverse=True)))
        for many in (
            changing_phrases.RESTART_OPENERS,
            (*changing_phrases.RESTARTS, *(each for each in chat_phrases.RESTARTS if "{" not in each)),
        )
    )
    begun = re.compile(rf"(?:(?:{openers})\W+)?(?:{restarts})\s*[,:.;!-].*", re.I)
    assert begun.fullmatch("no wait, start over: a red house") and not begun.fullmatch("a red house")
    assert not [text for text in said_in(name) if begun.fullmatch(text)]


def test_a_message_that_a_phrase_makes_would_be_found() -> None:
    assert any(pattern(each).fullmatch("forget the red umbrella") for each in templates())

"""The messages that are measured are in words that no training material has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.lab.scenes.conditions import NUMBERS, PLURALS
from imagescope_agent.lab.scenes.dialog import changing_phrases, idle_phrases, phrases
from imagescope_agent.lab.scenes.language import SETTING_WORDS, SIZE_WORDS, SYNONYMS
from imagescope_agent.lab.scenes.world import COLOURS

DATA = Path(__file__).parent / "data"
WORDS = {*PLURALS, *PLURALS.values(), *COLOURS, *NUMBERS, "a", "an"}
WORDS |= {word for many in (*SIZE_WORDS.values(), *SYNONYMS.values()) for word in many}
PLACES = [place for many in SETTING_WORDS.values() for place in many]
NOUN = rf"(?:(?:{'|'.join(sorted(WORDS))})(?: |\b)){{1,4}}"
PLACE = rf"(?:{'|'.join(PLACES)})"
EITHER = rf"(?:{NOUN}|{PLACE})"
SLOTS = {"{place}": PLACE, "{old}": EITHER, "{v}": EITHER}


def templates() -> list[str]:
    """Every phrase that says something beside its slots, in two words or more."""
    rooms = (phrases, changing_phrases, idle_phrases)
    found = [each for room in rooms for name, many in vars(room).items() if name.isupper() for each in many]
    return [each for each in found if len(re.sub(r"\{\w+\}", "", each).split()) > 1]


def pattern(template: str) -> re.Pattern[str]:
    pieces = [
        SLOTS.get(piece, NOUN) if piece.startswith("{") else re.escape(piece)
        for piece in re.split(r"(\{\w+\})", template)
    ]
    return re.compile(rf"\W*{''.join(pieces)}\W*", re.I)


@pytest.mark.parametrize("name", ["messages-hand.jsonl", "messages-dev.jsonl", "messages-second.jsonl"])
def test_no_phrase_of_the_training_makes_a_message_written_by_hand(name: str) -> None:
    talks: list[dict[str, Any]] = [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]
    said = [turn["say"] for talk in talks for turn in talk["turns"][1:] if "reply" not in turn]
    every = [pattern(each) for each in templates()]
    assert len(every) > 1000
    assert not [text for text in said if any(each.fullmatch(text) for each in every)]


def test_a_message_that_a_phrase_makes_would_be_found() -> None:
    assert any(pattern(each).fullmatch("forget the red umbrella") for each in templates())

"""What is kept of a reference agrees with its caption and with what goes."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.intent.kept_things import as_shown
from imagescope_agent.state import Instruction, Intent

CAPTION = "From left to right: a white lamp, a small white lamp and a black car, in the kitchen."


def intent(*steps: tuple[str, str]) -> Intent:
    made: list[Instruction] = [{"type": kind, "text": text} for kind, text in steps]
    return {"steps": made, "core": "a lamp", "enhanced": "a lamp", "full": "a lamp"}


@pytest.mark.parametrize(
    ("read", "shown", "kinds"),
    [
        (
            [("Retention", "exactly three white lamps")],
            [("Retention", "exactly two white lamps")],
            ["repaired"],
        ),
        ([("Retention", "exactly two black cars")], [("Retention", "exactly one black car")], ["repaired"]),
        (
            [("Retention", "a black car"), ("Removal", "a car"), ("Retention", "a white lamp")],
            [("Removal", "a car"), ("Retention", "a white lamp")],
            ["contradiction"],
        ),
    ],
)
def test_what_is_kept_is_as_the_caption_shows_it(
    read: list[tuple[str, str]], shown: list[tuple[str, str]], kinds: list[str]
) -> None:
    found, notes = as_shown(intent(*read), CAPTION, "reread")
    assert found == intent(*shown) and [each["kind"] for each in notes] == kinds


@pytest.mark.parametrize(
    "read",
    [
        [("Retention", "exactly two white lamps"), ("Removal", "a small lamp")],
        [("Comparison", "exactly three white lamps")],  # it is to change
        [("Retention", "exactly two dogs")],  # the caption may pass them over
        [("Retention", "a white lamp"), ("Removal", "a small white lamp")],  # another one stays
        [("Retention", "a black car"), ("Removal", "")],
        [("Retention", "a man wearing a hat"), ("Removal", "a hat")],
        [("Retention", "snowy mountains"), ("Removal", "a snowman")],
    ],
)
def test_what_agrees_stays(read: list[tuple[str, str]]) -> None:
    assert as_shown(intent(*read), CAPTION, "reread") == (intent(*read), [])

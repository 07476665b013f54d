"""Which of two things is on the left, in the words of a message."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.chat.language.sides import sides
from imagescope_agent.nodes.chat.language.vocabulary import read_captions

WORDS = read_captions(
    ("a red kettle and a blue chair", "a blue kettle, in a garden", "a chair and a red chair", "a kettle")
)
KETTLE, CHAIR = "a red kettle", "a blue chair"


@pytest.mark.parametrize(
    "message",
    [
        "a red kettle left of a blue chair",
        "a red kettle on the left-hand side of a blue chair",
        "on the left side of a blue chair there is a red kettle",
        "to the right of a red kettle, a blue chair",
        "a blue chair with a red kettle to its left",
        "there is a blue chair, and on its left stands a red kettle",
        "first a red kettle, then to the right of it a blue chair",
        "a red kettle whose right neighbour is a blue chair",
        "a blue chair on the right and a red kettle on the left",
        "a red kettle left, a blue chair right",
        "from left to right: a red kettle, a blue chair",
        "right to left: a blue chair and a red kettle",
        "a red kettle is further left than a blue chair",
    ],
)
def test_a_side_is_read_however_it_is_said(message: str) -> None:
    assert sides(message, WORDS) == (KETTLE, CHAIR)
    turned = message.replace("left", "\0").replace("right", "left").replace("\0", "right")
    assert sides(turned, WORDS) == (CHAIR, KETTLE)


@pytest.mark.parametrize(
    "message",
    [
        "a red kettle and a blue chair",
        "all right, a red kettle and a blue chair",
        "a red kettle right next to a blue chair",
        "a red kettle not left of a blue chair",
        "a red kettle left of a blue chair and a kettle",
        "what is left of a red kettle",
        "the right colour for a red kettle and a blue chair",
        "",
    ],
)
def test_otherwise_nothing_is_said(message: str) -> None:
    assert sides(message, WORDS) is None

"""What has no width is taken from the ends of a text, and only from there."""

from __future__ import annotations

import pytest

from imagescope_agent.common.visible_text import said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a red car", "a red car"),
        (" \u200b\ta red\u200bcar\n\ufeff", "a red\u200bcar"),
        ("I \u2764\ufe0f ", "I \u2764\ufe0f"),  # a selector belongs to the letter before it
        ("\ufe0fx", "x"),
        ("\u2764\ufe0f\ufe0f\u200d", "\u2764\ufe0f\ufe0f"),
        ("x", "x"),
        ("", ""),
        (" \u200b\ufe0f\u3164", ""),
    ],
)
def test_a_text_says_what_is_seen_of_it(text: str, shown: str) -> None:
    assert said(text) == shown

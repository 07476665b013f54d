"""What a model is shown of a long conversation stays bounded, and nothing that was excluded is forgotten."""

from __future__ import annotations

from imagescope_agent.nodes.judging.judge import SHOWN, bounded
from imagescope_agent.state import Instruction


def steps(count: int) -> list[Instruction]:
    return [
        {"type": "Removal" if number % 3 == 0 else "Addition", "text": f"thing {number}"}
        for number in range(count)
    ]


def test_a_short_request_is_shown_as_it_is() -> None:
    assert bounded(steps(SHOWN)) == steps(SHOWN)


def test_a_long_one_keeps_the_newest_and_every_exclusion() -> None:
    shown = bounded(steps(100))
    assert len(shown) == SHOWN and shown[1:] == steps(100)[-SHOWN + 1 :]
    said = " ".join(step["text"] for step in shown if step["type"] == "Removal")
    assert all(f"thing {number}" in said for number in range(0, 100, 3))

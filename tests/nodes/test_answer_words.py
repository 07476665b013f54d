"""What a turn says of the request."""

from __future__ import annotations

from typing import Any, cast

from imagescope_agent.nodes.chat.answer_words import request_words
from imagescope_agent.state import State


def shown(request: str, *excluded: str) -> str:
    facts = [{"type": "Removal", "text": each, "predicates": []} for each in excluded]
    state: Any = {"request": request, "reference": None, "facts": facts}
    return request_words(cast(State, state))


def test_an_exclusion_is_shown_as_one_and_once() -> None:
    assert shown("a red lantern", "a wagon") == "a red lantern, without a wagon"
    assert shown("a red lantern, no wagons", "a wagon") == "a red lantern, no wagons"

"""A scripted reasoner for searches in Python."""

from __future__ import annotations

import json
from typing import Any

INTENT = {
    "steps": [{"type": "Addition", "text": "a red square"}],
    "core": "a red square",
    "enhanced": "a red square",
    "full": "a red square",
}


BLUE = {"predicates": [{"question": "Is it blue?", "expected": "Yes"}]}


def think(asked: Any) -> str:
    return json.dumps(INTENT if asked.options["response_format"] == "IntentAnswer" else BLUE)

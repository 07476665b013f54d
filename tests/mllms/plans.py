"""What a reasoner answers when a test is about something else."""

from __future__ import annotations

import json
from typing import Any

INTENT = json.dumps(
    {"steps": [{"type": "Addition", "text": "red"}], "core": "red", "enhanced": "red", "full": "a red square"}
)
PLAN = json.dumps(
    {
        "predicates": [
            {"question": "Is it red?", "expected": "Yes"},
            {"question": "Are there two?", "expected": "No"},
        ]
    }
)


def plan(asked: Any) -> str:
    """The reply of a scripted reasoner to either of its two questions."""
    return INTENT if asked.options.get("response_format") == "IntentAnswer" else PLAN

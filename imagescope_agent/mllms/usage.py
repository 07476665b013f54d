"""Usage of model calls as plain dicts: calls, prompt_tokens, completion_tokens, image_prefills, seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def total_usage(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of usages; missing keys count 0."""
    total: dict[str, Any] = {
        "calls": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "image_prefills": 0,
        "seconds": 0.0,
    }
    for part in parts:
        for key in total:
            total[key] += part.get(key, 0)
    return total


def tokens_of(usage: Mapping[str, Any]) -> int:
    """Prompt and completion tokens."""
    return int(usage["prompt_tokens"]) + int(usage["completion_tokens"])

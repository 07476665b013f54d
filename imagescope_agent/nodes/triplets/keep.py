"""Keep: the triplet as it is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagescope_agent.state import State
from imagescope_agent.usage import sum_usage


class Keep:
    """Builds the record of a triplet; makes no model call.

    Args:
        models: the exact weights behind the editor and the judge.
    """

    def __init__(self, models: Callable[[], Mapping[str, str]]) -> None:
        self.models = models

    async def __call__(self, state: State) -> dict[str, Any]:
        """Return `triplet`: plain values, ids of the collection."""
        proposal = state["proposal"]
        assert proposal is not None
        cost = sum_usage(state["usage"])
        shown = [name for name in (*state["shown"], *state["others"]) if name != proposal["target"]]
        triplet = {
            "reference": state["reference"],
            "text": proposal["text"],
            "type": proposal["type"],
            "target": proposal["target"],
            "distractors": shown,
            "evidence": state["evidence"],
            "models": dict(self.models()),
            "cost": {"calls": cost.calls, "tokens": cost.tokens},
        }
        return {"triplet": triplet}

"""A query with candidates that judges are measured on."""

from __future__ import annotations

import io
from dataclasses import dataclass

from imagescope_agent.judges.base import Candidate
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.mllms.role import ImageRef


@dataclass(frozen=True, kw_only=True)
class JudgeCase:
    """A query, and candidates of which some are relevant.

    Args:
        text: the query.
        reference: None for a text query.
        candidates: in a random first-stage order.
        relevant: ids of those that satisfy it: at least one, and not all.
        understood: the instructions that the profile's reasoner extracts from it, the same for every strategy.
    """

    text: str
    reference: ImageRef | None
    candidates: list[Candidate]
    relevant: frozenset[str]
    understood: str = ""


def picture(key: str, scene: Scene) -> ImageRef:
    """A scene as a model gets it, under the key of its features."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, format="PNG")
    return ImageRef(key=key, data=buffer.getvalue())

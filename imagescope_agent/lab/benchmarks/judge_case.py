"""A query with candidates that judges are measured on."""

from __future__ import annotations

from dataclasses import dataclass

from imagescope_agent.judges.base import Candidate
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

"""What the graphs of training data are given."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from imagescope_agent.state import Proposal


class PairInput(TypedDict):
    """What a run that builds a triplet is given: the number of its pair, and the images that were used often enough."""

    pair: int
    tired: NotRequired[list[str]]


class TripletInput(TypedDict):
    """What a run that annotates a triplet is given; `others` are images that are alike and not the target."""

    query: str
    reference: str
    proposal: Proposal
    others: list[str]

"""How good the orders are that nobody judged: the one that judges are given, and that of a model's vectors."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from imagescope_agent.lab.benchmarks.judge_case import JudgeCase
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.services import open_embedder_of

FIRST_STAGE = "first stage, as given"


def first_stage_orders(profiles: Sequence[str], cases: Sequence[JudgeCase]) -> dict[str, dict[str, float]]:
    """Accuracy of the first place and mean reciprocal rank, by order.

    Args:
        profiles: whose vectors rank as well, where they embed a query with its reference as a whole.
        cases: with their candidates in the given order.
    """
    found = {FIRST_STAGE: _figures(cases, [[each.id for each in case.candidates] for case in cases])}
    for profile in profiles:
        model = open_embedder_of(load_profile(profile)).reasoning
        if model is not None:
            ranked = [_by_vectors(model, case) for case in cases]
            found[f"first stage, by vectors of {profile}"] = _figures(cases, ranked)
    return found


def place_of_relevant(case: JudgeCase, order: Sequence[str]) -> int:
    """The place of the first relevant candidate, from 0."""
    return next(place for place, name in enumerate(order) if name in case.relevant)


def _by_vectors(model: ReasoningEmbedder, case: JudgeCase) -> list[str]:
    """The candidates by the vector of the query without a chain of thought."""
    reference = None if case.reference is None else _pixels(case.reference)
    query = model.reasoned([reference], [case.text], [""])[0]
    scores = model.images([_pixels(each.image) for each in case.candidates]) @ query
    return [case.candidates[place].id for place in np.argsort(-scores, kind="stable")]


def _pixels(image: ImageRef) -> Image.Image:
    return Image.open(io.BytesIO(image.data)).convert("RGB")


def _figures(cases: Sequence[JudgeCase], orders: Sequence[Sequence[str]]) -> dict[str, float]:
    places = [place_of_relevant(case, order) for case, order in zip(cases, orders, strict=True)]
    accuracy = [float(each == 0) for each in places]
    ranks = [1 / (1 + each) for each in places]
    count = max(1, len(cases))
    return {"accuracy": round(sum(accuracy) / count, 4), "reciprocal_rank": round(sum(ranks) / count, 4)}

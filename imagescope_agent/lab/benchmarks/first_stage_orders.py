"""How good the orders are that nobody judged: the one that judges are given, and that of a model's vectors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from imagescope_agent.lab.benchmarks.judge_case import JudgeCase
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.services import open_embedder_of

FIRST_STAGE = "first stage, as given"


def first_stage_orders(profiles: Sequence[str], cases: Sequence[JudgeCase]) -> dict[str, list[JudgeCase]]:
    """The cases by order: as given, and with their candidates by vectors, the nearest first.

    Args:
        profiles: whose vectors rank as well, where they embed a query with its reference as a whole.
        cases: with their candidates in the given order.
    """
    found = {FIRST_STAGE: [*cases]}
    for profile in profiles:
        model = open_embedder_of(load_profile(profile)).reasoning
        if model is not None:
            found[f"first stage, by vectors of {profile}"] = [_by_vectors(model, case) for case in cases]
    return found


def order_figures(cases: Sequence[JudgeCase]) -> dict[str, float]:
    """Accuracy of the first place and mean reciprocal rank of the order that the candidates are in."""
    places = [place_of_relevant(case, [each.id for each in case.candidates]) for case in cases]
    count = max(1, len(cases))
    accuracy, ranks = sum(each == 0 for each in places), sum(1 / (1 + each) for each in places)
    return {"accuracy": round(accuracy / count, 4), "reciprocal_rank": round(ranks / count, 4)}


def place_of_relevant(case: JudgeCase, order: Sequence[str]) -> int:
    """The place of the first relevant candidate, from 0."""
    return next(place for place, name in enumerate(order) if name in case.relevant)


def _by_vectors(model: ReasoningEmbedder, case: JudgeCase) -> JudgeCase:
    """The candidates by the vector of the query without a chain of thought."""
    reference = None if case.reference is None else _pixels(case.reference)
    query = model.reasoned([reference], [case.text], [""])[0]
    scores = model.images([_pixels(each.image) for each in case.candidates]) @ query
    order = np.argsort(-scores, kind="stable")
    return replace(case, candidates=[case.candidates[place] for place in order])


def _pixels(image: ImageRef) -> Image.Image:
    return Image.open(io.BytesIO(image.data)).convert("RGB")

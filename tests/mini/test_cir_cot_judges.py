"""The judges that read the inside of the shipped models, on drawn scenes that nobody was trained or chosen on."""

from __future__ import annotations

import asyncio
import io
import os
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.judges import e2rank, icr
from imagescope_agent.judges.base import Judge, Task
from imagescope_agent.lab.benchmarks.judge_case import JudgeCase
from imagescope_agent.lab.benchmarks.judges_drawn import make_cases, understand
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.services import open_roles

COUNT = int(os.environ.get("IMAGESCOPE_JUDGED_QUERIES", "12"))  # more for figures that one may quote
SEED = 41

pytestmark = pytest.mark.slow


@cache
def judge_role() -> Role:
    return open_roles(load_profile("mini_cot"))["judge"]


@cache
def cases() -> list[JudgeCase]:
    return asyncio.run(understand(make_cases(COUNT, 10, SEED), open_roles(load_profile("mini_cot"))))


def hits(judge: Judge) -> float:
    """The share of queries whose first is relevant."""
    right = 0
    for case in cases():
        task = Task(query=case.text, understood=case.understood, reference=case.reference, model=judge_role())
        found = asyncio.run(judge(task, case.candidates))
        assert {each["kind"] for each in found.notes} <= {"tie"}
        assert sorted(found.order) == sorted(each.id for each in case.candidates)
        right += found.order[0] in case.relevant
    return right / COUNT


def given() -> float:
    return sum(case.candidates[0].id in case.relevant for case in cases()) / COUNT


def chance() -> float:
    return sum(len(case.relevant) / len(case.candidates) for case in cases()) / COUNT


@pytest.mark.parametrize(("judge", "margin"), [(e2rank.judge, 0.4), (e2rank.listwise, 0.3), (icr.judge, 0.2)])
def test_they_stand_above_chance_and_above_the_order_that_they_are_given(judge: Judge, margin: float) -> None:
    found = hits(judge)
    assert found >= chance() + margin and found >= given()


def _without_reference(embedder: Any, case: Any) -> Any:
    """The query's vector before a share of the reference's own joins it; judges compare with the model's alone."""
    pixel, share = pixels(case.reference), embedder._shown
    embedder._shown = 0.0
    found = embedder.compose([pixel], [case.text])[0]
    embedder._shown = share
    return found


def test_a_conversation_of_one_turn_has_the_vector_that_the_embedder_gives() -> None:
    role, embedder = judge_role(), open_embedder("cir_cot:package:mini/cir_cot")
    case = next(each for each in cases() if each.reference is not None)
    assert case.reference is not None and role.query_words == ("reason", "mini")
    words = load_prompt("reason", prompt_set="mini").fill(instruction=case.text)
    asked = [
        Request(text="", images=(case.candidates[0].image,)),
        Request(text=words, images=(case.reference,)),
        Request(text=words),
    ]
    found = asyncio.run(role.embed(asked))
    expected = [
        embedder.images([pixels(case.candidates[0].image)])[0],
        _without_reference(embedder, case),
        embedder.texts([case.text])[0],
    ]
    assert found.trained and np.allclose(found.vectors, expected, atol=2e-3)


def pixels(image: ImageRef) -> Image.Image:
    return Image.open(io.BytesIO(image.data)).convert("RGB")

"""Choose the attention heads of a chat model that point at the wanted picture, on drawn training scenes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.errors import BadInput
from imagescope_agent.judges.base import Task
from imagescope_agent.judges.icr import NOTHING, calibrated, icr_request
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.lab.benchmarks.judge_case import JudgeCase
from imagescope_agent.lab.benchmarks.judges_drawn import make_cases, understand
from imagescope_agent.mllms.engine.attention_heads import write_heads
from imagescope_agent.mllms.role import Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_roles

MOST = 12  # heads
K = 10  # candidates of a query

Scores = np.ndarray[Any, Any]


def choose_heads(profile: str, out: Path, *, queries: int, seed: int) -> dict[str, Any]:
    """Measure every head of a profile's judge, and write the best ones beside a checkpoint.

    Whether the tokens after a picture count as the picture's is chosen as well.

    Args:
        profile: whose judge is a local model.
        out: the checkpoint's folder.
        queries: of the training scenes.
        seed: of these; never one that is evaluated on.

    Returns:
        What was measured.

    Raises:
        BadInput: the judge does not show its attention head by head.
        BackendUnavailable: it cannot be loaded.
    """
    roles = open_roles(load_profile(profile))
    cases = asyncio.run(understand(make_cases(queries, K, seed), roles))
    measured = [asyncio.run(_by_head(roles["judge"], case)) for case in tqdm(cases, disable=None)]
    right = [_relevant(case) for case in cases]
    ways = {after: [each.sum(0) if after else each[0] for each in measured] for after in (False, True)}
    chosen = {after: best_heads(scores, right) for after, scores in ways.items()}
    after = chosen[True][1] > chosen[False][1]
    heads, accuracy = chosen[after]
    found = {
        "queries": len(cases),
        "seed": seed,
        "accuracy": round(accuracy, 4),
        "pictures_alone": round(chosen[False][1], 4),
        "all_heads": round(_accuracy([each.sum((0, 1)) for each in ways[after]], right), 4),
        "first_stage": round(float(np.mean([each[0] for each in right])), 4),
        "chance": round(float(np.mean([each.mean() for each in right])), 4),
    }
    write_heads(out, heads, found, after=after)
    return {"heads": [list(each) for each in heads], "after": after, **found}


def best_heads(measured: Sequence[Scores], right: Sequence[Scores]) -> tuple[list[tuple[int, int]], float]:
    """The heads whose summed scores put a right candidate first most often, added one by one.

    Args:
        measured: (layers, heads, k) of each query.
        right: (k,) of each query, whether a candidate is wanted.

    Returns:
        (layer, head) of each, and the share of queries.
    """
    layers, width, _ = measured[0].shape
    left = [(layer, head) for layer in range(layers) for head in range(width)]
    chosen: list[tuple[int, int]] = []
    sums = [np.zeros(each.shape[2]) for each in measured]
    best = (-1.0, -1.0)
    while left and len(chosen) < MOST:
        tried = {
            pair: _worth([total + each[pair] for total, each in zip(sums, measured, strict=True)], right)
            for pair in left
        }
        pair = max(tried, key=lambda each: tried[each])
        if tried[pair] <= best:
            break
        best = tried[pair]
        chosen.append(pair)
        left.remove(pair)
        sums = [total + each[pair] for total, each in zip(sums, measured, strict=True)]
    return chosen, best[0]


def _worth(scores: Sequence[Scores], right: Sequence[Scores]) -> tuple[float, float]:
    """Accuracy, then the mean reciprocal rank of the first right one."""
    ranks = [
        1.0 / (1 + int((each > each[wanted].max()).sum())) for each, wanted in zip(scores, right, strict=True)
    ]
    return _accuracy(scores, right), float(np.mean(ranks))


def _accuracy(scores: Sequence[Scores], right: Sequence[Scores]) -> float:
    pairs = zip(scores, right, strict=True)
    return float(np.mean([wanted[int(each.argmax())] for each, wanted in pairs]))


def _relevant(case: JudgeCase) -> Scores:
    return np.array([each.id in case.relevant for each in case.candidates])


async def _by_head(role: Role, case: JudgeCase) -> Scores:
    """Each head's scores of each candidate as the judge would compute them: (2, layers, heads, k).

    The first by the tokens of its picture alone, the second what those after it add.
    """
    task = Task(query=case.text, understood=case.understood, reference=case.reference, model=role, seed=0)
    session = JudgeSession(task, case.candidates)
    read = []
    for query in (NOTHING, case.text):
        attention = await role.model.aattention(icr_request(session, query).messages(), each_head=True)  # type: ignore[attr-defined]
        if attention.heads is None or attention.heads_after is None:
            raise BadInput(
                "the judge's model does not show its heads; name a profile whose judge is hosted here"
            )
        read.append((attention.heads, np.array(attention.heads_after)))
    (empty, without), (real, following) = read
    k = len(case.candidates)
    pictures = [
        [
            [calibrated(*pair) for pair in zip(one[-k:], other[-k:], strict=True)]
            for one, other in zip(*layer, strict=True)
        ]
        for layer in zip(real, empty, strict=True)
    ]
    return np.array([pictures, (following - without)[:, :, -k:]])

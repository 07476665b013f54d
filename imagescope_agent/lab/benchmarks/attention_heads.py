"""Weigh the attention heads of a chat model by how well they point at the wanted picture, on drawn training scenes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.errors import BadInput
from imagescope_agent.judges.base import Task
from imagescope_agent.judges.icr import HEAD_START, icr_requests
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.lab.benchmarks.first_stage_orders import first_stage_orders
from imagescope_agent.lab.benchmarks.judge_case import JudgeCase
from imagescope_agent.lab.benchmarks.judges_drawn import make_cases, understand
from imagescope_agent.mllms.engine.attention_heads import write_heads
from imagescope_agent.mllms.role import Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_roles

K = 10  # candidates of a query
FOLDS = 5
PENALTY = 0.03  # on the square of a weight, of heads of equal spread

Scores = np.ndarray[Any, Any]


def choose_heads(profile: str, out: Path, *, queries: int, seed: int) -> dict[str, Any]:
    """Measure every head of a profile's judge, weigh them, and write that beside a checkpoint.

    With candidates in a random order, and in that of the profile's vectors where its embedder reasons: heads have
    habits of places, which a random order alone does not show where the right ones stand first.

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
    orders = first_stage_orders([profile], cases)
    read = tqdm([case for order in orders.values() for case in order], disable=None)
    scores = np.stack([asyncio.run(_by_head(roles["judge"], case)) for case in read])
    right = np.stack([_relevant(case) for order in orders.values() for case in order])
    layers, heads = scores.shape[1:3]
    scores = scores.reshape(len(scores), layers * heads, K)
    held_out = np.split(_held_out(scores, right, queries), len(orders))
    first = {
        name: {"given": round(float(given[:, 0].mean()), 4), "accuracy": round(float(order.mean()), 4)}
        for name, given, order in zip(orders, np.split(right, len(orders)), held_out, strict=True)
    }
    found = {"queries": queries, "seed": seed, "held_out": first}
    worth = [round(each, 4) for each in weigh_heads(scores, right).tolist()]
    write_heads(out, [*np.ndindex(layers, heads)], found, worth=worth, after=True)
    return found


def weigh_heads(scores: Scores, right: Scores) -> Scores:
    """What each head's attention is to be multiplied by, so that the sums are log-odds of the candidates.

    A conditional logit: the likelihood that one of the right candidates is taken, with a penalty on large weights.

    Args:
        scores: (queries, heads, k).
        right: (queries, k), whether a candidate is wanted.

    Returns:
        (heads,).
    """
    import torch

    spread = np.maximum(scores.std(axis=(0, 2)), 1e-9)  # of each head, so that all are penalised alike
    scaled, wanted = torch.tensor(scores / spread[:, None]), torch.tensor(right)
    worth = torch.zeros(len(spread), dtype=scaled.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([worth], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        odds = torch.einsum("h,qhk->qk", worth, scaled)
        lost = odds.logsumexp(1) - odds.masked_fill(~wanted, -torch.inf).logsumexp(1)
        total = lost.mean() + PENALTY * worth.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    found: Scores = worth.detach().numpy() / spread
    return found


def _held_out(scores: Scores, right: Scores, queries: int) -> Scores:
    """Whether the first place is right, by weights of the other queries, in every order: (orders * queries,)."""
    fold = np.tile(np.arange(queries) % FOLDS, len(scores) // queries)
    found = np.zeros(len(scores), bool)
    for number in range(FOLDS):
        here = fold == number
        odds = np.einsum("h,qhk->qk", weigh_heads(scores[~here], right[~here]), scores[here])
        odds[:, 0] += HEAD_START
        found[here] = right[here, odds.argmax(axis=1)] if here.any() else found[here]
    return found


def _relevant(case: JudgeCase) -> Scores:
    return np.array([each.id in case.relevant for each in case.candidates])


async def _by_head(role: Role, case: JudgeCase) -> Scores:
    """Each head's attention to each candidate and what follows it, beyond that of an empty one: (layers, heads, k)."""
    task = Task(query=case.text, understood=case.understood, reference=case.reference, model=role, seed=0)
    session, read = JudgeSession(task, case.candidates), []
    for request in icr_requests(session):
        attention = await role.model.aattention(request.messages(), each_head=True)  # type: ignore[attr-defined]
        if attention.heads is None or attention.heads_after is None:
            raise BadInput(
                "the judge's model does not show its heads; name a profile whose judge is hosted here"
            )
        pictures = [[[sum(each) for each in head] for head in layer] for layer in attention.heads]
        read.append(np.array(pictures) + np.array(attention.heads_after))
    empty, real = read
    beyond: Scores = (real - empty)[:, :, -len(case.candidates) :]
    return beyond

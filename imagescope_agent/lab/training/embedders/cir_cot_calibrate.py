"""What a finished model finds of held-out queries, with a chain and without, and when a chain is worth its tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.training.embedders.cir_cot_data import Example
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.prompting import load_prompt
from imagescope_agent.replies.chains import parse_chain
from imagescope_agent.retrieval.images import LoadedImage, inside, load
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.vectors import Vectors

MOST = 150  # held-out queries
ALLOWED = 0.005  # share of queries that "auto" may answer worse than "full"


@dataclass(frozen=True, kw_only=True)
class Held:
    """Ranks of the targets of held-out queries, from 0, and what decides whether a chain is written.

    Args:
        fast, full: (n,) ranks without and with a chain of the model's own.
        told: (n,) ranks with the chain that it should have written.
        lead: (n,) of the first image over the second, without a chain.
    """

    fast: np.ndarray[Any, Any]
    full: np.ndarray[Any, Any]
    told: np.ndarray[Any, Any]
    lead: np.ndarray[Any, Any]

    def threshold(self) -> float:
        """The least lead at which leaving the chain out costs no more than `ALLOWED`."""
        return least_lead(self.lead, self.fast, self.full)

    def figures(self) -> dict[str, Any]:
        """Recall of each way, and the share of chains that "auto" writes."""
        limit = self.threshold()
        ways = {
            "fast": self.fast,
            "full": self.full,
            "full, true chains": self.told,
            "auto": np.where(self.lead < limit, self.full, self.fast),
        }
        found = {
            way: {f"R@{k}": round(float((ranks < k).mean()), 4) for k in (1, 5, 10)}
            for way, ranks in ways.items()
        }
        return {**found, "queries": len(self.fast), "chains": round(float((self.lead < limit).mean()), 4)}


def least_lead(lead: np.ndarray[Any, Any], fast: np.ndarray[Any, Any], full: np.ndarray[Any, Any]) -> float:
    """The least lead below which a chain must be written to cost no more than `ALLOWED` of the first places.

    Args:
        lead: (n,) of the first image over the second, without a chain.
        fast: (n,) ranks of the targets without a chain.
        full: (n,) ranks with one, whoever wrote it.
    """
    wanted = float((full == 0).mean()) - ALLOWED
    for limit in (0.0, *sorted(np.nextafter(lead, 3).tolist())):
        if float(np.where(lead < limit, full == 0, fast == 0).mean()) >= wanted:
            return float(limit)
    return 2.0


def measure_held_out(model: ReasoningEmbedder, folder: Path, examples: Sequence[Example]) -> Held:
    """Answer held-out queries over all of their images, without their own reference."""
    asked = [each for each in examples if each.chain][:MOST]
    names = sorted({name for each in asked for name in each.names})
    pictures = {name: load(inside(folder, name)) for name in names}
    gallery = model.images([pictures[name].image for name in names])
    row = {name: number for number, name in enumerate(names)}
    chains = asyncio.run(_chains(model, [(pictures.get(each.reference or ""), each.text) for each in asked]))

    def ranks(written: Sequence[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        shown = [pictures[each.reference].image if each.reference else None for each in asked]
        scores = _scores(model.reasoned(shown, [each.text for each in asked], written), gallery, asked, row)
        target = scores[np.arange(len(asked)), [row[each.target] for each in asked]]
        best = np.sort(scores, axis=1)[:, -2:]
        return (scores > target[:, None]).sum(1), best[:, 1] - best[:, 0]

    fast, lead = ranks([""] * len(asked))
    return Held(
        fast=fast, full=ranks(chains)[0], told=ranks([str(each.chain) for each in asked])[0], lead=lead
    )


def _scores(
    queries: Vectors, gallery: Vectors, asked: Sequence[Example], row: dict[str, int]
) -> np.ndarray[Any, Any]:
    scores: np.ndarray[Any, Any] = queries @ gallery.T
    for number, each in enumerate(asked):
        if each.reference:
            scores[number, row[each.reference]] = -2
    return scores


async def _chains(model: ReasoningEmbedder, asked: Sequence[tuple[LoadedImage | None, str]]) -> list[str]:
    """What the model thinks about each; "" where it cannot be read."""
    prompt = load_prompt("reason", prompt_set=model.prompt_set)
    requests = [
        Request(text=prompt.fill(instruction=text), images=() if picture is None else (picture.ref(),))
        for picture, text in asked
    ]
    replies = await Role("reasoner", model.chat_model).ask_some(requests, ())
    written = []
    for reply in replies:
        try:
            written.append(str(parse_chain(reply.text)))
        except UnreadableReply:
            written.append("")
    return written

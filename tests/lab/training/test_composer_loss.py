"""The loss of a composer beside a slow twin that names every negative."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest
import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.lab.training.embedders.composer_data import Vectorised
from imagescope_agent.lab.training.embedders.composer_trainer import SCORED_SCALE, info_nce, probability
from imagescope_agent.retrieval.embedders.tokens import Tokens, single

SCALE = 5.0


class Texts(nn.Module):
    """Composes the vectors of the texts alone."""

    def forward(self, images: Tokens, texts: Tokens) -> torch.Tensor:
        return texts.vectors


def batch() -> Vectorised:
    torch.manual_seed(0)
    images, texts = (functional.normalize(torch.randn(n, 8), dim=1) for n in (12, 3))
    rows = torch.arange(3)
    return Vectorised(
        images=images,
        shown=single(images[:3]),
        said=single(texts).take,
        text=rows,
        seen=rows,
        reference=rows,
        target=torch.tensor([3, 4, 3]),
        distractors=torch.tensor([[5, -1], [6, 7], [-1, -1]]),
    )


def slow(names: list[int]) -> float:
    made, losses = batch(), []
    for row, own in enumerate((3, 4, 3)):
        scores = SCALE * made.said(torch.tensor([row])).vectors[0] @ made.images.T
        others = [exp(scores[name]) for name in names if name != own]
        losses.append(-log(exp(scores[own]) / (exp(scores[own]) + sum(others))))
    return sum(losses) / 3


@pytest.mark.parametrize("gallery", (0, 100))
def test_the_negatives_are_targets_distractors_references_and_the_gallery(gallery: int) -> None:
    found = info_nce(Texts(), torch.tensor(log(SCALE)), batch(), 2, gallery, Random(0))
    # a target of two triplets is no negative of either, wherever it comes from
    named = [3, 4, 3, 0, 1, 2, 5, 6, 7, *(range(12) if gallery else ())]
    assert float(found) == pytest.approx(slow(named), abs=1e-5)


def test_the_probability_of_the_target_is_over_the_whole_collection_but_the_reference() -> None:
    made, found = batch(), 1.0
    for row, own in enumerate((3, 4, 3)):
        scores = SCORED_SCALE * made.said(torch.tensor([row])).vectors[0] @ made.images.T
        every = {name: exp(scores[name]) for name in range(12) if name != row}
        found *= every[own] / sum(every.values())
    assert probability(Texts(), made) == pytest.approx(found ** (1 / 3), rel=1e-4)
    assert probability(Texts(), made.take([])) == 0.0

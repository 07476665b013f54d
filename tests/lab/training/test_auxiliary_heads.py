"""Losses and accuracies of the auxiliary heads."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.data.packed_row import PackedMention, RowBuilder
from imagescope_agent.lab.training.data.targets import auxiliary_targets
from imagescope_agent.lab.training.network.auxiliary_heads import BinaryHead, CountHead
from tests.lab.training.samples import BOAT, HOUSE, SCENE


def test_loss_and_accuracy_of_the_binary_head() -> None:
    head = BinaryHead(2, 2)
    head.norm = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        head.flag.weight.copy_(torch.eye(2))
        head.flag.bias.zero_()
    mention = PackedMention(
        row=0, column=0, pattern=Pattern("boat"), scene=SCENE, subject=Pattern("house")
    )  # the house is left of the boat and not above it
    row = RowBuilder(0)
    row.mentions.append(mention)
    arrays = auxiliary_targets([row])["relation"]
    targets = {name: torch.from_numpy(array) for name, array in arrays.items()}
    right, share = head(torch.tensor([[[9.0, -9.0]]]), targets)
    wrong, other = head(torch.tensor([[[-9.0, 9.0]]]), targets)
    assert share == 1 and other == 0
    assert right < 0.01 < 5 < wrong


def test_the_count_head_learns_positions_of_unique_things_only() -> None:
    two = Scene(things=(HOUSE, HOUSE, BOAT), setting="beach")
    mentions = [
        PackedMention(row=0, column=n, pattern=Pattern(kind), scene=two)
        for n, kind in enumerate(("house", "boat"))
    ]
    row = RowBuilder(0)
    row.mentions += mentions
    arrays = auxiliary_targets([row])["grounding"]
    assert arrays["count"].tolist() == [2, 1]
    np.testing.assert_allclose(arrays["where"][1], (BOAT.x, BOAT.y, BOAT.diameter), rtol=1e-6)
    head = CountHead(4)
    targets = {name: torch.from_numpy(array) for name, array in arrays.items()}
    states = torch.randn(1, 2, 4)
    before = head(states, targets)[0]
    targets["where"][0] = 5.0  # positions of two houses are not learnt
    torch.testing.assert_close(head(states, targets)[0], before)

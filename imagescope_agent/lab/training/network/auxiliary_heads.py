"""Auxiliary heads of the mini chat model: predictions from intermediate layers, used in training only.

Grounding words in the image, relations and counts are learnt very slowly from the answers alone. At the names of
things, heads predict where they are, how many, and how they relate; the heads are discarded after training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.lab.training.data.batch import Tensors
from imagescope_agent.lab.training.data.comparison_turns import GRADES
from imagescope_agent.lab.training.data.targets import MAX_COUNT
from imagescope_agent.lab.training.data.turn import EDIT_LABELS


class CountHead(nn.Module):
    """At the end of a thing's name: how many such things there are, and where the thing is if there is one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.count = nn.Linear(width, MAX_COUNT + 1)
        self.where = nn.Linear(width, 3)  # x, y, diameter in fractions of the side

    def forward(self, states: torch.Tensor, targets: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss for hidden states (b, l, width), and the accuracy of the counts."""
        chosen = self.norm(states[targets["row"], targets["column"]])
        logits, count = self.count(chosen), targets["count"]
        loss = functional.cross_entropy(logits, count)
        unique = (count == 1).float()
        distance = (self.where(chosen) - targets["where"]).abs().mean(-1)
        loss = loss + 4 * (distance * unique).sum() / unique.sum().clamp(min=1)
        return loss, (logits.argmax(-1) == count).float().mean()


class BinaryHead(nn.Module):
    """At the end of a name: one or more binary labels, such as whether a condition is satisfied."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.flag = nn.Linear(width, labels)

    def forward(self, states: torch.Tensor, targets: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss for hidden states (b, l, width), and the accuracy."""
        logits = self.flag(self.norm(states[targets["row"], targets["column"]]))
        truth = targets["truth"]
        loss = functional.binary_cross_entropy_with_logits(logits, truth)
        return loss, ((logits > 0) == (truth > 0)).float().mean()


class GradeHead(nn.Module):
    """One of several classes and, with a vocabulary, the label of the candidate it is about.

    Args:
        width: of the states.
        grades: number of classes.
        vocabulary: number of tokens, one of which is the candidate's label; 0 for no label.
    """

    def __init__(self, width: int, grades: int, vocabulary: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.grade = nn.Linear(width, grades)
        self.label = nn.Linear(width, vocabulary) if vocabulary else None

    def forward(self, states: torch.Tensor, targets: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss for hidden states (b, l, width), and the accuracy of the grades."""
        chosen = self.norm(states[targets["row"], targets["column"]])
        logits, grade = self.grade(chosen), targets["grade"]
        loss = functional.cross_entropy(logits, grade)
        if self.label is not None:
            loss = loss + functional.cross_entropy(self.label(chosen), targets["label"])
        return loss, (logits.argmax(-1) == grade).float().mean()


class HeadConfig(NamedTuple):
    """After which text layer a head reads, its weight in the loss, and the head for (width, vocabulary)."""

    layer: int
    weight: float
    make: Callable[[int, int], nn.Module]


#: By the name of their targets, see `targets.auxiliary_targets`.
AUXILIARY_HEADS = {
    "grounding": HeadConfig(3, 0.3, lambda width, vocabulary: CountHead(width)),
    "relation": HeadConfig(4, 1.0, lambda width, vocabulary: BinaryHead(width, 2)),
    "mention_satisfied": HeadConfig(4, 1.0, lambda width, vocabulary: BinaryHead(width, 1)),
    "edit_label": HeadConfig(3, 1.0, lambda width, vocabulary: GradeHead(width, len(EDIT_LABELS))),
    "condition_satisfied": HeadConfig(4, 1.0, lambda width, vocabulary: GradeHead(width, 2, vocabulary)),
    "candidate_grade": HeadConfig(
        5, 1.0, lambda width, vocabulary: GradeHead(width, len(GRADES), vocabulary)
    ),
}

#: Names of heads in older training checkpoints.
FORMER_HEAD_NAMES = {
    "sides": "relation",
    "met": "mention_satisfied",
    "fates": "edit_label",
    "found": "condition_satisfied",
    "ends": "candidate_grade",
}

"""What only helps the mini chat model to learn, and is thrown away: heads that ask it in between, attention shown.

Finding what a word speaks of, comparing two places and counting are learnt very slowly from the answers alone. So at
the names of things light heads ask where they are, how many, and on which side of one another; and a few attention
heads are shown where to look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import rotate_half

from imagescope_agent.lab.training.batch import MOST, Tensors
from imagescope_agent.lab.training.comparing import GRADES
from imagescope_agent.lab.training.examples import FATES


class CountHead(nn.Module):
    """At the end of a thing's name: how many such things there are, and where the only one is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.count = nn.Linear(width, MOST + 1)
        self.where = nn.Linear(width, 3)  # x, y, diameter in fractions of the side

    def forward(self, states: torch.Tensor, asked: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss for hidden states (b, l, width), and the share of counts told right."""
        chosen = self.norm(states[asked["row"], asked["column"]])
        guess, count = self.count(chosen), asked["count"]
        loss = functional.cross_entropy(guess, count)
        alone = (count == 1).float()
        apart = (self.where(chosen) - asked["where"]).abs().mean(-1)
        loss = loss + 4 * (apart * alone).sum() / alone.sum().clamp(min=1)
        return loss, (guess.argmax(-1) == count).float().mean()


class FlagHead(nn.Module):
    """At the end of a name: whether one or more things hold there, such as where the thing named before it stands."""

    def __init__(self, width: int, flags: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.flag = nn.Linear(width, flags)

    def forward(self, states: torch.Tensor, asked: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss for hidden states (b, l, width), and the share told right."""
        guess, truth = self.flag(self.norm(states[asked["row"], asked["column"]])), asked["truth"]
        loss = functional.binary_cross_entropy_with_logits(guess, truth)
        return loss, ((guess > 0) == (truth > 0)).float().mean()


class GradeHead(nn.Module):
    """One of several grades; where several pictures are compared, also the label of the picture.

    Args:
        width: of the states.
        grades: how many there are.
        vocabulary: labels are told by their tokens; 0 where there are none.
    """

    def __init__(self, width: int, grades: int, vocabulary: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.grade = nn.Linear(width, grades)
        self.label = nn.Linear(width, vocabulary) if vocabulary else None

    def forward(self, states: torch.Tensor, asked: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss for hidden states (b, l, width), and the share graded right."""
        chosen = self.norm(states[asked["row"], asked["column"]])
        guess, grade = self.grade(chosen), asked["grade"]
        loss = functional.cross_entropy(guess, grade)
        if self.label is not None:
            loss = loss + functional.cross_entropy(self.label(chosen), asked["label"])
        return loss, (guess.argmax(-1) == grade).float().mean()


#: What is asked in between: after which text layer, its weight in the loss, and the head for (width, vocabulary).
HEADS: dict[str, tuple[int, float, Callable[[int, int], nn.Module]]] = {
    "grounding": (3, 0.3, lambda width, vocabulary: CountHead(width)),
    "sides": (4, 1.0, lambda width, vocabulary: FlagHead(width, 2)),
    "met": (4, 1.0, lambda width, vocabulary: FlagHead(width, 1)),
    "fates": (3, 1.0, lambda width, vocabulary: GradeHead(width, len(FATES))),
    "found": (4, 1.0, lambda width, vocabulary: GradeHead(width, 2, vocabulary)),
    "ends": (5, 1.0, lambda width, vocabulary: GradeHead(width, len(GRADES), vocabulary)),
}

#: Who is shown where to look: text layer and attention head of every guide; what each means says `row.Gaze`.
GUIDES = {
    "previous": (0, 0), "label": (1, 0), "latest": (1, -1),
    "named": (2, 0), "here": (2, 1), "again": (2, 2), "told": (2, -1),
    "tally": (3, 0), "next": (3, -1),
    "onward": (4, 0), "pair": (4, -1), "answer": (5, 0), "block": (6, 0), "vote": (6, 1),
}  # fmt: skip


class Guide:
    """Shows one attention head of one layer where to look, as long as it is being taught.

    Finding the patch that a word speaks of is learnt very slowly from the answers alone: all heads start by looking
    everywhere. The head's own attention is computed once more for the places in question and compared with the image
    tokens that the thing covers.
    """

    def __init__(self, attention: nn.Module, head: int) -> None:
        self.attention, self.head = attention, head
        self._seen: tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]] | None = None
        attention.register_forward_pre_hook(self._remember, with_kwargs=True)

    def _remember(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._seen = kwargs["hidden_states"], kwargs["position_embeddings"]

    def loss(self, mask: torch.Tensor, gazes: Tensors) -> torch.Tensor:
        """Mean of -log(attention on the right tokens) over the gazes; mask (b, 1, l, l) as the model had it.

        Where the gazes say how to divide it, the divergence from that division.
        """
        assert self._seen is not None, "the model has not run"
        states, (cos, sin) = self._seen
        attention: Any = self.attention
        rows, columns = gazes["row"], gazes["column"]
        width = attention.head_dim
        own = self.head % attention.config.num_attention_heads
        shared = own // attention.num_key_value_groups
        # only this head's rows of the projections
        query = attention.q_norm(functional.linear(states, attention.q_proj.weight[own * width :][:width]))
        key = attention.k_norm(functional.linear(states, attention.k_proj.weight[shared * width :][:width]))
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        scores = (query @ key.transpose(1, 2) * attention.scaling)[rows, columns]
        scores = scores.masked_fill(~mask[rows, 0, columns], -torch.inf)
        places = gazes["which"], gazes["token"]
        if "share" not in gazes:
            wanted = torch.full_like(scores, -torch.inf)
            wanted[places] = 0.0
            surprise: torch.Tensor = scores.logsumexp(-1) - (scores + wanted).logsumexp(-1)
            return surprise.mean()
        shares = gazes["share"]
        divergence: torch.Tensor = (shares * (shares.log() - scores.log_softmax(-1)[places])).sum()
        return divergence / len(rows)

"""What only helps the mini chat model to learn, and is thrown away: heads that ask it in between, attention shown.

Finding what a word speaks of, comparing two places and counting are learnt very slowly from the answers alone. So at
the names of things two light heads ask where they are, how many, and on which side of one another; and a few
attention heads are shown where to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import rotate_half

from imagescope_agent.scenes.conditions import Pattern
from imagescope_agent.scenes.world import Scene, Thing
from imagescope_agent.training.examples import FATES
from imagescope_agent.training.row import Found, Gaze, Mention

_MOST = 4  # the count head tells 0, 1, 2, 3 and "4 or more" apart


class GroundingHead(nn.Module):
    """At the end of a thing's name: how many such things there are, and where the only one is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.count = nn.Linear(width, _MOST + 1)
        self.where = nn.Linear(width, 3)  # x, y, diameter in fractions of the side

    def forward(self, states: torch.Tensor, mentions: tuple[Mention, ...]) -> tuple[torch.Tensor, float]:
        """Loss for hidden states (b, l, width), and the share of counts told right."""
        rows = torch.tensor([mention.row for mention in mentions])
        columns = torch.tensor([mention.column for mention in mentions])
        found = [mention.pattern.among(mention.scene) for mention in mentions]
        counts = torch.tensor([min(len(things), _MOST) for things in found])
        chosen = self.norm(states[rows, columns])
        guess = self.count(chosen)
        loss = functional.cross_entropy(guess, counts)
        alone = counts == 1
        if alone.any():
            truth = torch.tensor([(t[0].x, t[0].y, t[0].diameter) for t in found if len(t) == 1])
            loss = loss + 4 * functional.l1_loss(self.where(chosen[alone]), truth)
        return loss, float((guess.argmax(-1) == counts).float().mean())


class RelationHead(nn.Module):
    """At the end of a name: where the thing named before it stands, and whether what is said of both is met."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.side = nn.Linear(width, 2)  # the thing named before is left of this one, is above it
        self.met = nn.Linear(width, 1)

    def forward(
        self, states: torch.Tensor, mentions: Sequence[Mention]
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss for hidden states (b, l, width), and shares told right; sides only where both things are alone."""
        loss, figures = states.new_zeros(()), dict[str, float]()
        pairs = [(m, _only(m.partner, m.scene), _only(m.pattern, m.scene)) for m in mentions if m.partner]
        sides = {m: (a.x < b.x, a.y < b.y) for m, a, b in pairs if a and b}
        met = {m: (m.met,) for m in mentions if m.met is not None}
        for name, layer, truth in (("sides", self.side, sides), ("met", self.met, met)):
            if truth:
                places = [m.row for m in truth], [m.column for m in truth]
                guess, wanted = layer(self.norm(states[places])), torch.tensor(list(truth.values()))
                loss = loss + functional.binary_cross_entropy_with_logits(guess, wanted.float())
                figures[name] = float(((guess > 0) == wanted).float().mean())
        return loss, figures


class FateHead(nn.Module):
    """At the end of a reference thing's name: what the request does with it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fate = nn.Linear(width, len(FATES))

    def forward(
        self, states: torch.Tensor, fates: Sequence[tuple[int, int, str]]
    ) -> tuple[torch.Tensor, float]:
        """Loss for hidden states (b, l, width), and the share told right."""
        rows, columns, types = zip(*fates, strict=True)
        wanted = torch.tensor([FATES.index(name) for name in types])
        guess = self.fate(self.norm(states[list(rows), list(columns)]))
        return functional.cross_entropy(guess, wanted), float((guess.argmax(-1) == wanted).float().mean())


class FoundHead(nn.Module):
    """Where something about one of several pictures has been found: how good it is, and the picture's label.

    Args:
        width: of the states.
        grades: how many there are.
        vocabulary: labels are told by their tokens.
    """

    def __init__(self, width: int, grades: int, vocabulary: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.grade = nn.Linear(width, grades)
        self.label = nn.Linear(width, vocabulary)

    def forward(self, states: torch.Tensor, found: Sequence[Found]) -> tuple[torch.Tensor, float]:
        """Loss for hidden states (b, l, width), and the share graded right."""
        chosen = self.norm(states[[f.row for f in found], [f.column for f in found]])
        guess, wanted = self.grade(chosen), torch.tensor([each.grade for each in found])
        labels = torch.tensor([each.label for each in found])
        loss = functional.cross_entropy(guess, wanted)
        loss = loss + functional.cross_entropy(self.label(chosen), labels)
        return loss, float((guess.argmax(-1) == wanted).float().mean())


def _only(pattern: Pattern | None, scene: Scene) -> Thing | None:
    """The one thing that is meant, if it is one."""
    found = pattern.among(scene) if pattern else []
    return found[0] if len(found) == 1 else None


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

    def loss(self, mask: torch.Tensor, gazes: Sequence[Gaze]) -> torch.Tensor:
        """Mean of -log(attention on the right tokens) over the gazes; mask (b, 1, l, l) as the model had it.

        Where the gazes say how to divide it, the divergence from that division.
        """
        assert self._seen is not None, "the model has not run"
        states, (cos, sin) = self._seen
        attention: Any = self.attention
        rows = torch.tensor([gaze.row for gaze in gazes])
        columns = torch.tensor([gaze.column for gaze in gazes])
        width = attention.head_dim
        own, shared = self.head, self.head // attention.num_key_value_groups
        # only this head's rows of the projections
        query = attention.q_norm(functional.linear(states, attention.q_proj.weight[own * width :][:width]))
        key = attention.k_norm(functional.linear(states, attention.k_proj.weight[shared * width :][:width]))
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        scores = (query @ key.transpose(1, 2) * attention.scaling)[rows, columns]
        scores = scores.masked_fill(~mask[rows, 0, columns], -torch.inf)
        places = [(number, token) for number, gaze in enumerate(gazes) for token in gaze.tokens]
        if not gazes[0].shares:
            wanted = torch.full_like(scores, -torch.inf)
            wanted[tuple(torch.tensor(places).T)] = 0.0
            surprise: torch.Tensor = scores.logsumexp(-1) - (scores + wanted).logsumexp(-1)
            return surprise.mean()
        shares = torch.tensor([share for gaze in gazes for share in gaze.shares])
        picked = scores.log_softmax(-1)[tuple(torch.tensor(places).T)]
        divergence: torch.Tensor = (shares * (shares.log() - picked)).sum() / len(gazes)
        return divergence

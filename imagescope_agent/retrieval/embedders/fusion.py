"""A composer that reads tokens: words attend to the reference's patches before they are one vector.

A vector of a whole text hardly says whether a thing is named because it is there, is wanted, or is to go; the states of
its tokens do. A few transformer blocks read them, each word attending to the others and to the picture.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.retrieval.embedders.composer_card import HEAD
from imagescope_agent.retrieval.embedders.tokens import Tokens

MLP = 2  # width of a block's hidden layer, in widths of the block


class Fusion(nn.Module):
    """The sum of both vectors, of a residual that a transformer over the tokens of both makes, and of gated patches.

    Args:
        dimension: d of the embedder's vectors.
        widths: of the embedder's hidden states, of pictures and of texts.
        width: of the blocks, a multiple of `HEAD`.
        blocks: how many.
        dropout: share of hidden values that training leaves out.
    """

    def __init__(
        self, dimension: int, widths: tuple[int, int], width: int, blocks: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.dimension = dimension
        self.image = nn.Sequential(nn.LayerNorm(widths[0]), _into(widths[0], width))
        self.text = _into(widths[1], width)
        self.gate = _Gate(width) if widths[0] == dimension else None
        self.query = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(_Block(width, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, dimension)
        nn.init.zeros_(self.out.weight)  # untrained, it is the mean of both vectors
        nn.init.zeros_(self.out.bias)

    def forward(self, image: Tokens, text: Tokens) -> torch.Tensor:
        """The tokens of n pictures and n texts -> (n, d), unit length."""
        seen, said = self.image(image.states), self.text(text.states)
        query = self.query.expand(len(said), -1, -1)
        rows = torch.cat([query, said], dim=1)
        padding = functional.pad(text.padding, (1, 0), value=False)
        for block in self.blocks:
            rows = block(rows, padding, seen, image.padding)
        read = self.norm(rows[:, 0])
        summed = image.vectors + text.vectors + self.out(read)
        if self.gate is not None:
            summed = summed + self.gate(read, seen, image)
        return functional.normalize(summed, dim=1)


def _into(width: int, wanted: int) -> nn.Module:
    return nn.Identity() if width == wanted else nn.Linear(width, wanted)


class _Gate(nn.Module):
    """Patches that count more or less than they do in the picture's vector, where states and vectors share a space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asked, self.keys = nn.Linear(width, width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.asked.weight)
        nn.init.zeros_(self.asked.bias)

    def forward(self, read: torch.Tensor, seen: torch.Tensor, image: Tokens) -> torch.Tensor:
        """What the query reads (n, width) and the patches (n, m, width) -> what to add to the vectors, (n, d)."""
        wanted = self.asked(read)[:, :, None]
        weight = 2 * torch.sigmoid((self.keys(seen) @ wanted) / seen.shape[2] ** 0.5 + self.bias) - 1
        there = (~image.padding)[:, :, None]
        states, count = image.states * there, there.sum(1).clamp(min=1)
        length = (states.sum(1) / count).norm(dim=1, keepdim=True).clamp(min=1e-6)
        added: torch.Tensor = (weight * states).sum(1) / count / length
        return added


class _Block(nn.Module):
    """Attention among the words, from the words to the picture, and a hidden layer."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        heads = max(1, width // HEAD)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.words = nn.MultiheadAttention(width, heads, batch_first=True)
        self.patches = nn.MultiheadAttention(width, heads, batch_first=True)
        self.hidden = nn.Sequential(nn.Linear(width, MLP * width), nn.GELU(), nn.Linear(MLP * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, rows: torch.Tensor, padding: torch.Tensor, seen: torch.Tensor, unseen: torch.Tensor
    ) -> torch.Tensor:
        """(n, m, width) -> (n, m, width)."""
        given = self.norms[0](rows)
        read, _ = self.words(given, given, given, key_padding_mask=padding, need_weights=False)
        rows = rows + self.dropout(read)
        given = self.norms[1](rows)
        read, _ = self.patches(given, seen, seen, key_padding_mask=unseen, need_weights=False)
        rows = rows + self.dropout(read)
        added: torch.Tensor = self.dropout(self.hidden(self.norms[2](rows)))
        return rows + added

"""The combiner of CLIP4Cir (arXiv 2308.11485): vectors of reference and text to the vector of the wanted image."""

from __future__ import annotations

from math import log

import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.retrieval.embedders.tokens import Tokens


class Combiner(nn.Module):
    """A gated sum of both vectors and a learnt residual.

    Args:
        dimension: d of the embedder's vectors.
        hidden: width of the residual's hidden layer.
        dropout: share of hidden values that training leaves out.
        share: of the text's vector before training.
        kept: share of the text's vector, as it is given, in what is made for use; training does without.
    """

    def __init__(
        self, dimension: int, hidden: int, dropout: float = 0.5, share: float = 0.5, kept: float = 0.0
    ) -> None:
        super().__init__()
        self.dimension, self.hidden, self.kept = dimension, hidden, kept
        self.text = nn.Linear(dimension, dimension)
        self.hide = nn.Linear(2 * dimension, hidden)
        self.gate = nn.Linear(2 * dimension, 1)
        self.out = nn.Linear(hidden, dimension)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():  # untrained, it is the mean of both vectors, weighted by the share
            self.text.weight.copy_(torch.eye(dimension))
            self.text.bias.zero_()
            self.out.weight.zero_()
            self.out.bias.zero_()
            self.gate.weight.zero_()
            self.gate.bias.fill_(log(share / (1 - share)))

    def forward(self, images: Tokens, texts: Tokens) -> torch.Tensor:
        """The vectors of n pictures and n texts -> (n, d), unit length."""
        image, text = images.vectors, texts.vectors
        both = torch.cat([image, text], dim=1) * (
            self.dimension**0.5 / 2
        )  # whatever d, components of about 1/2
        gate = torch.sigmoid(self.gate(both))
        hidden = functional.gelu(self.hide(both))
        mixed = (1 - gate) * image + gate * self.text(text) + self.out(self.dropout(hidden))
        made = functional.normalize(mixed, dim=1)
        if self.training or not self.kept:
            return made
        return functional.normalize(self.kept * text + (1 - self.kept) * made, dim=1)

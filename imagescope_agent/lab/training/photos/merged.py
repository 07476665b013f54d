"""One head for the mean of several, trained alike with other random numbers: better than each, and no slower.

The similarities of heads are bilinear, and so is their sum. Texts reach no more dimensions than their features have,
in however many dimensions all heads together place them, so the sum needs no more either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from imagescope_agent.lab.training.photos.features import Features


@dataclass(frozen=True, kw_only=True)
class Maps:
    """A head as it ships: linear maps of plain features.

    Args:
        visual: (d, picture width).
        bias: (d,) of pictures.
        text: (d, text width).
    """

    visual: torch.Tensor
    bias: torch.Tensor
    text: torch.Tensor

    def pictures(self, features: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, d), unit length."""
        return functional.normalize(features @ self.visual.T + self.bias, dim=1)

    def texts(self, features: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, d), unit length."""
        return functional.normalize(features @ self.text.T, dim=1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """As a head's file has them."""
        return {"visual": self.visual, "bias": self.bias, "text": self.text}


def merged(heads: Sequence[Maps], pictures: Features, texts: Features) -> Maps:
    """One head whose inner products are those of several added, of as many dimensions as texts have features at most.

    Args:
        heads: whose vectors count as much as each other, being scaled to length 1 on the mean.
        pictures: (n, picture width) that say how long the vectors of pictures are.
        texts: (m, text width) that say how long those of texts are.
    """
    rows, told = torch.from_numpy(pictures), torch.from_numpy(texts)
    far = [(rows @ each.visual.T + each.bias).norm(dim=1).mean() for each in heads]
    long = [(told @ each.text.T).norm(dim=1).mean() for each in heads]
    visual = torch.cat([each.visual / size for each, size in zip(heads, far, strict=True)])
    bias = torch.cat([each.bias / size for each, size in zip(heads, far, strict=True)])
    text = torch.cat([each.text / size for each, size in zip(heads, long, strict=True)])
    turned, text = torch.linalg.qr(text)  # what texts do not reach, no picture needs
    visual, bias = turned.T @ visual, turned.T @ bias
    size = visual.abs().mean()  # of unit size on the whole, so that 16 bits hold it
    return Maps(visual=visual / size, bias=bias / size, text=text / text.abs().mean())

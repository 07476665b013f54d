"""The combiner of CLIP4Cir (arXiv 2308.11485): vectors of reference and text to the vector of the wanted image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.vectors import Vectors

WEIGHTS = "composer.safetensors"
LARGEST = 2**28  # bytes of the weights


class Combiner(nn.Module):
    """A gated sum of both vectors and a learnt residual.

    Args:
        dimension: d of the embedder's vectors.
        hidden: width of the residual's hidden layer.
        dropout: share of hidden values that training leaves out.
    """

    def __init__(self, dimension: int, hidden: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dimension, self.hidden = dimension, hidden
        self.text = nn.Linear(dimension, dimension)
        self.hide = nn.Linear(2 * dimension, hidden)
        self.gate = nn.Linear(2 * dimension, 1)
        self.out = nn.Linear(hidden, dimension)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():  # untrained, it is the mean of both vectors
            self.text.weight.copy_(torch.eye(dimension))
            self.text.bias.zero_()
            self.out.weight.zero_()
            self.out.bias.zero_()
            self.gate.weight.zero_()
            self.gate.bias.zero_()

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Unit vectors (n, d) and (n, d) -> (n, d), unit length."""
        both = torch.cat([image, text], dim=1) * (
            self.dimension**0.5 / 2
        )  # whatever d, components of about 1/2
        gate = torch.sigmoid(self.gate(both))
        hidden = functional.gelu(self.hide(both))
        mixed = (1 - gate) * image + gate * self.text(text) + self.out(self.dropout(hidden))
        return functional.normalize(mixed, dim=1)

    @torch.inference_mode()
    def combine(self, image: Vectors, text: Vectors) -> Vectors:
        """As `forward`, for numpy arrays, without dropout."""
        self.eval()
        given = (torch.from_numpy(np.asarray(each, dtype=np.float32)) for each in (image, text))
        rows: Vectors = self(*given).numpy()
        return np.ascontiguousarray(rows, dtype=np.float32)


def save_combiner(combiner: Combiner, folder: Path) -> None:
    """Write the weights (float16 safetensors) into a folder."""
    tensors = {name: value.to(torch.float16).contiguous() for name, value in combiner.state_dict().items()}
    write_atomic(folder / WEIGHTS, save(tensors))


def load_combiner(folder: Path, dimension: int, hidden: int) -> Combiner:
    """Read the weights, computing in float32.

    Raises:
        BadInput: they are missing, damaged, or of another size.
    """
    try:
        tensors: dict[str, Any] = load(read_file(folder / WEIGHTS, LARGEST))
        combiner = Combiner(dimension, hidden)
        combiner.load_state_dict({name: value.float() for name, value in tensors.items()})
        if not all(torch.isfinite(value).all() for value in combiner.state_dict().values()):
            raise ValueError("not all of its numbers are finite")
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"the composer in {str(folder)!r} is damaged: {WEIGHTS}: {why}; train it again "
            "(`imagescope train composer`)"
        ) from error
    return combiner.eval()

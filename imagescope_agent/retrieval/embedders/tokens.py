"""What an embedder read of pictures and texts, token by token; composers combine it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn import functional

from imagescope_agent.retrieval.protocols import Embedder

CHUNK = 64  # pictures or texts at a time
GRID = 4  # side of the grid that the patches of a picture are averaged to


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Pictures or texts as an embedder read them.

    Attributes:
        vectors: (n, d), unit length: what `Embedder.images` or `Embedder.texts` gives.
        states: (n, m, w) hidden states of the last layer, m the longest of the rows.
        padding: (n, m), True where a row has no more tokens.
    """

    vectors: torch.Tensor
    states: torch.Tensor
    padding: torch.Tensor

    def take(self, rows: torch.Tensor) -> Tokens:
        """Some of the rows, as long as the longest of them."""
        padding = self.padding[rows]
        longest = int((~padding).sum(1).max()) if len(rows) else 0
        states = self.states[rows, :longest].float()
        return Tokens(vectors=self.vectors[rows], states=states, padding=padding[:, :longest])


def read_images(embedder: Embedder, images: Sequence[Image.Image]) -> Tokens:
    """Pictures as an embedder reads them; one that tells vectors alone reads one token."""
    if (read := getattr(embedder, "image_tokens", None)) is not None:
        return joined([read(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)])
    return single(torch.from_numpy(embedder.images(images)))


def read_texts(embedder: Embedder, texts: Sequence[str]) -> Tokens:
    """Texts as an embedder reads them; one that tells vectors alone reads one token."""
    if (read := getattr(embedder, "text_tokens", None)) is not None:
        return joined([read(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)])
    return single(torch.from_numpy(embedder.texts(texts)))


def single(vectors: torch.Tensor) -> Tokens:
    """Vectors (n, d) as rows of one token each."""
    rows = vectors.float()
    return Tokens(vectors=rows, states=rows[:, None], padding=torch.zeros(len(rows), 1, dtype=torch.bool))


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Rows one after the other, padded to the longest."""
    longest = max(part.states.shape[1] for part in parts)
    room = [longest - part.states.shape[1] for part in parts]
    return Tokens(
        vectors=torch.cat([part.vectors for part in parts]),
        states=torch.cat([functional.pad(p.states, (0, 0, 0, r)) for p, r in zip(parts, room, strict=True)]),
        padding=torch.cat(
            [functional.pad(p.padding, (0, r), value=True) for p, r in zip(parts, room, strict=True)]
        ),
    )

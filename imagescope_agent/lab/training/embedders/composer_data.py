"""Triplets as rows of vectors for training a composer, and which of them are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.training_data.triplet_files import Triplet

HELD_OUT = 0.1  # share of the references


@dataclass(frozen=True, kw_only=True)
class Vectorised:
    """Triplets over vectors: row numbers of images and texts.

    Args:
        images: (n, d) vectors of every image of the collection.
        texts: (m, d) vectors of the modification texts.
        reference, target: (m,) rows of `images`.
        distractors: (m, k) rows of `images`; -1 where a triplet has fewer.
    """

    images: torch.Tensor
    texts: torch.Tensor
    reference: torch.Tensor
    target: torch.Tensor
    distractors: torch.Tensor

    def take(self, rows: Sequence[int]) -> Vectorised:
        """Some of the triplets."""
        chosen = torch.tensor(rows, dtype=torch.long)
        return Vectorised(
            images=self.images,
            texts=self.texts[chosen],
            reference=self.reference[chosen],
            target=self.target[chosen],
            distractors=self.distractors[chosen],
        )


def held_out(triplets: Sequence[Triplet]) -> list[bool | None]:
    """For each triplet whether it is held out; None where it leads to a held-out reference and is not used."""

    def chosen(name: str) -> bool:
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) < HELD_OUT * 2**32

    return [True if chosen(each.reference) else None if chosen(each.target) else False for each in triplets]


def vectorised(collection: Collection, embedder: Embedder, triplets: Sequence[Triplet]) -> Vectorised:
    """The triplets over the collection's vectors, texts embedded now."""
    row = {name: number for number, name in enumerate(collection.ids)}
    most = max((len(each.distractors) for each in triplets), default=0)
    shown = [[row[name] for name in each.distractors] for each in triplets]
    return Vectorised(
        images=torch.from_numpy(np.stack([collection.image_vector(name) for name in collection.ids])).float(),
        texts=torch.from_numpy(embedder.texts([each.text for each in triplets])).float(),
        reference=torch.tensor([row[each.reference] for each in triplets]),
        target=torch.tensor([row[each.target] for each in triplets]),
        distractors=torch.tensor([[*each, *[-1] * (most - len(each))] for each in shown], dtype=torch.long),
    )

"""Triplets as an embedder reads them, for training a composer, and which of them are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from imagescope_agent.retrieval.embedders.tokens import CHUNK, Tokens, joined, read_images, read_texts, single
from imagescope_agent.retrieval.protocols import Collection, Composer, Embedder
from imagescope_agent.training_data.triplet_files import Triplet

HELD_OUT = 0.1  # share of the references


@dataclass(frozen=True, kw_only=True)
class Vectorised:
    """Triplets over what an embedder read: row numbers of images, of references and of texts.

    Args:
        images: (n, d) vectors of every image of the collection.
        shown: the references as the embedder reads them.
        said: the modification texts of the numbers it is given, as the embedder reads them.
        text: (m,) numbers of texts.
        seen: (m,) rows of `shown`.
        reference, target: (m,) rows of `images`.
        distractors: (m, k) rows of `images`; -1 where a triplet has fewer.
    """

    images: torch.Tensor
    shown: Tokens
    said: Callable[[torch.Tensor], Tokens]
    text: torch.Tensor
    seen: torch.Tensor
    reference: torch.Tensor
    target: torch.Tensor
    distractors: torch.Tensor

    def take(self, rows: Sequence[int]) -> Vectorised:
        """Some of the triplets."""
        chosen = torch.tensor(rows, dtype=torch.long)
        names = ("text", "seen", "reference", "target", "distractors")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def composed(self, network: nn.Module) -> torch.Tensor:
        """The query vectors (m, d) that a composer's network makes of the triplets."""
        rows: torch.Tensor = network(self.shown.take(self.seen), self.said(self.text))
        return rows


def held_out(triplets: Sequence[Triplet]) -> list[bool | None]:
    """For each triplet whether it is held out; None where it leads to a held-out reference and is not used."""

    def chosen(name: str) -> bool:
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) < HELD_OUT * 2**32

    return [True if chosen(each.reference) else None if chosen(each.target) else False for each in triplets]


def vectorised(
    collection: Collection,
    embedder: Embedder,
    triplets: Sequence[Triplet],
    *,
    tokens: bool = False,
    tau: float = 0.0,
    composer: Composer | None = None,
) -> Vectorised:
    """The triplets over the collection's vectors; texts, and references where they are read too, are read now.

    Args:
        collection: what the triplets are about.
        embedder: of the collection.
        triplets: in any order.
        tokens: whether pictures and texts are read token by token.
        tau: weight of the captions in what is searched, as in `Collection.search`.
        composer: the embedder, where it is to read each text together with its reference.

    Raises:
        ImageProblem: a reference cannot be read.
    """
    row = {name: number for number, name in enumerate(collection.ids)}
    images = torch.from_numpy(np.stack([collection.image_vector(name) for name in collection.ids])).float()
    seen = {name: number for number, name in enumerate(dict.fromkeys(each.reference for each in triplets))}
    vectors = images[[row[name] for name in seen]]
    if composer is not None:
        said = _together(collection, composer, triplets)
    else:
        said = _apart(embedder, [each.text for each in triplets], tokens)
    return Vectorised(
        images=images if not tau else (1 - tau) * images + tau * _captions(collection, embedder, images),
        shown=_halved(_read(collection, embedder, list(seen), vectors)) if tokens else single(vectors),
        said=said.take,
        text=torch.arange(len(triplets)),
        seen=torch.tensor([seen[each.reference] for each in triplets]),
        reference=torch.tensor([row[each.reference] for each in triplets]),
        target=torch.tensor([row[each.target] for each in triplets]),
        distractors=_distractors(triplets, row),
    )


def _distractors(triplets: Sequence[Triplet], row: Mapping[str, int]) -> torch.Tensor:
    """Their rows (m, k), -1 where a triplet has fewer."""
    most = max((len(each.distractors) for each in triplets), default=0)
    found = [[row[name] for name in each.distractors] for each in triplets]
    return torch.tensor([[*each, *[-1] * (most - len(each))] for each in found], dtype=torch.long)


def _captions(collection: Collection, embedder: Embedder, images: torch.Tensor) -> torch.Tensor:
    """The vectors of the captions; an image that has none yet counts twice."""
    captions = [collection.caption(name) for name in collection.ids]
    known = torch.tensor([bool(each) for each in captions])
    return torch.where(known[:, None], _vectors(embedder, captions), images)


def _apart(embedder: Embedder, texts: Sequence[str], tokens: bool) -> Tokens:
    return _halved(read_texts(embedder, texts)) if tokens else single(_vectors(embedder, texts))


def _together(collection: Collection, composer: Composer, triplets: Sequence[Triplet]) -> Tokens:
    """The vectors that an embedder itself composes of references and texts."""
    parts = []
    for start in range(0, len(triplets), CHUNK):
        part = triplets[start : start + CHUNK]
        shown = [collection.reference(each.reference).image for each in part]
        parts.append(torch.from_numpy(composer.compose(shown, [each.text for each in part])).float())
    return single(torch.cat(parts))


def _vectors(embedder: Embedder, texts: Sequence[str]) -> torch.Tensor:
    return torch.from_numpy(embedder.texts(texts)).float()


def _read(collection: Collection, embedder: Embedder, names: Sequence[str], vectors: torch.Tensor) -> Tokens:
    """Images of a collection with their states; their vectors are those of the index."""
    parts = [
        read_images(embedder, [collection.reference(name).image for name in names[start : start + CHUNK]])
        for start in range(0, len(names), CHUNK)
    ]
    return replace(joined(parts), vectors=vectors)


def _halved(tokens: Tokens) -> Tokens:
    """With states of half the size; `take` gives them back as float32."""
    return replace(tokens, states=tokens.states.half())

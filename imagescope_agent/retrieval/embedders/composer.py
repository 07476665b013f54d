"""An embedder with a trained composer: composed queries in one vector lookup (MRA, arXiv 2505.19952).

A composer is a folder that `imagescope train composer` writes: composer.json (which embedder's vectors it was trained
on, and how), composer.safetensors (the network), text.safetensors where the text tower was tuned, README.md. Images and
texts are embedded by that embedder, so that an index made with it stays valid; only the words of a composed query are
read by the tuned tower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from langchain_core.language_models import BaseChatModel
from PIL import Image
from torch import nn

from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.retrieval.embedders.combiner import Combiner
from imagescope_agent.retrieval.embedders.composer_card import (
    OVER,
    PACKAGE,
    ComposerCard,
    located,
    parted,
    portable,
    read_card,
)
from imagescope_agent.retrieval.embedders.fusion import Fusion
from imagescope_agent.retrieval.embedders.network_files import TEXT, WEIGHTS, load_network, load_tensors
from imagescope_agent.retrieval.embedders.text_tower import with_tuned_text
from imagescope_agent.retrieval.embedders.tokens import Tokens, read_images, read_texts, single
from imagescope_agent.retrieval.protocols import Composer, Embedder
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

#: Of the vector that an embedder composes itself, before training; the rest is the picture's.
COMPOSED_SHARE = 0.99


def open_model(place: str, *, device: str | None = None) -> ComposedEmbedder:
    """A composer's folder, or `package:PATH` of one that ships; raises as `open_embedder`.

    Over an embedder from another package it is "DIR over SPEC", since a card, which may be a stranger's, names no code.
    """
    from imagescope_agent.retrieval.embedders import open_embedder

    name, spec = parted(place)
    folder = located(name)
    card = read_card(folder)
    embedder = open_embedder(spec, device=device) if spec else _open_plain(folder, card.embedder, device)
    if isinstance(embedder, ReasoningEmbedder):
        return ComposedReasoner(embedder, folder, card)
    return ComposedEmbedder(embedder, folder, card)


class ComposedEmbedder:
    """An embedder whose composed queries are those of a trained combiner.

    Args:
        embedder: makes the vectors.
        folder: of the composer.
        card: of the composer.

    Attributes:
        plain: the embedder.
        card: of the composer.
        weights: the embedder's: images and texts have its vectors.
        composer: identifies the network and the tuned text tower.

    Raises:
        BadInput: the composer is damaged, or was trained on another embedder's vectors.
    """

    def __init__(self, embedder: Embedder, folder: Path, card: ComposerCard) -> None:
        if (embedder.weights, embedder.dimension) != (card.weights, card.dimension):
            raise BadInput(
                f"the composer in {str(folder)!r} was trained on the vectors of other weights than those of "
                f"{shorten(card.embedder, 80)!r}; train one on yours (`imagescope train composer`)"
            )
        self.plain, self.card = embedder, card
        self._reader = embedder
        self._composing: Composer | None = None
        if card.composed:
            if not isinstance(embedder, Composer):
                raise BadInput(
                    f"the composer in {str(folder)!r} was trained on an embedder that composes, which "
                    f"{shorten(card.embedder, 80)!r} does not; train one on yours (`imagescope train composer`)"
                )
            self._composing = embedder
        self._network = load_network(folder, lambda: untrained(card))
        read = [WEIGHTS, TEXT] if card.tuned else [WEIGHTS]
        if card.tuned:
            self._reader = with_tuned_text(embedder, load_tensors(folder / TEXT), folder / TEXT)
        self.weights, self.dimension = embedder.weights, embedder.dimension
        self.composer = hashlib.sha256(b"".join((folder / name).read_bytes() for name in read)).hexdigest()

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """As `Embedder.images`."""
        return self.plain.images(images)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.texts`."""
        return self.plain.texts(texts)

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Vectors:
        """As `Composer.compose`."""
        if not images:
            return self.plain.texts([])
        with torch.inference_mode():
            rows = self._network(read_images(self.plain, images), self._said(images, texts))
        return unit_rows(rows.numpy())

    def _said(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Tokens:
        """The words; an embedder that composes reads them together with the pictures that they are about."""
        if self._composing is None:
            return read_texts(self._reader, texts)
        return single(torch.from_numpy(self._composing.compose(images, texts)))


class ComposedReasoner(ComposedEmbedder):
    """A composer over an embedder that thinks: a query that nothing was thought about is the composer's.

    As `reasoning.ReasoningEmbedder`; chat model, prompt set and threshold are those of the embedder.
    """

    def __init__(self, embedder: ReasoningEmbedder, folder: Path, card: ComposerCard) -> None:
        super().__init__(embedder, folder, card)
        self._thinking = embedder
        self.prompt_set, self.threshold = embedder.prompt_set, embedder.threshold

    @property
    def chat_model(self) -> BaseChatModel:
        """As `ReasoningEmbedder.chat_model`."""
        return self._thinking.chat_model

    def reasoned(
        self, images: Sequence[Image.Image | None], texts: Sequence[str], chains: Sequence[str]
    ) -> Vectors:
        """As `ReasoningEmbedder.reasoned`."""
        given = list(zip(images, texts, chains, strict=True))
        bare = [place for place, (image, _, chain) in enumerate(given) if image is not None and not chain]
        rest = [place for place in range(len(given)) if place not in set(bare)]
        found = np.zeros((len(given), self.dimension), np.float32)
        if rest:
            found[rest] = self._thinking.reasoned(*zip(*(given[place] for place in rest), strict=True))
        if bare:
            shown = [image for place in bare if (image := images[place]) is not None]
            found[bare] = self.compose(shown, [texts[place] for place in bare])
        return found


def behind(embedder: Embedder, spec: str) -> tuple[Embedder, str]:
    """What a composer is trained over, and its spec as a card keeps it: of a composer the embedder behind it."""
    if isinstance(embedder, ComposedEmbedder):
        return embedder.plain, embedder.card.embedder
    return embedder, portable(spec)


def untrained(card: ComposerCard, dropout: float = 0.0) -> nn.Module:
    """The network that a card describes, as it is before training: a mean of both vectors."""
    if card.blocks:
        image, text = card.widths
        return Fusion(card.dimension, (image, text), card.hidden, card.blocks, dropout)
    share = COMPOSED_SHARE if card.composed else 0.5
    return Combiner(card.dimension, card.hidden, dropout, share=share, kept=card.kept)


def named(folder: str, card: ComposerCard) -> str:
    """How a profile names a composer, with its embedder where that is from another package."""
    return f"composer:{folder}" if _is_ours(card.embedder) else f"composer:{folder}{OVER}{card.embedder}"


def _is_ours(spec: str) -> bool:
    """Whether a card's embedder is of a kind of ours, which names no code."""
    from imagescope_agent.retrieval.embedders import EMBEDDERS

    kind, colon, _ = spec.partition(":")
    known = f"{kind}:" == PACKAGE or (kind in EMBEDDERS and kind != "composer")
    return known or not colon or Path(spec).is_dir()


def _open_plain(folder: Path, spec: str, device: str | None) -> Embedder:
    """The embedder that a card names; a card may be a stranger's, so it names a kind of ours and no code."""
    if not _is_ours(spec):
        raise BadInput(
            f"the composer in {str(folder)!r} names the embedder {shorten(spec, 80)!r}, which is of no kind of ours; "
            f'if it is yours, name it in the profile: embedder = "composer:{folder}{OVER}MODULE:ATTRIBUTE[:PLACE]"'
        )
    from imagescope_agent.retrieval.embedders import open_embedder

    kind, _, place = spec.partition(":")
    if f"{kind}:" == PACKAGE:
        return open_embedder(located(spec), device=device)
    return open_embedder(f"{kind}:{located(place)}" if place.startswith(PACKAGE) else spec, device=device)

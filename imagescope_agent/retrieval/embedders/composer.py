"""An embedder with a trained composer: composed queries in one vector lookup (MRA, arXiv 2505.19952).

A composer is a folder that `imagescope train composer` writes: composer.json (which embedder's vectors it was trained
on, and how), composer.safetensors (the combiner), README.md. Images and texts are embedded by that embedder, so that an
index made with it stays valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

CARD = "composer.json"
FORMAT = 1
LARGEST = 2**20  # bytes of the card
PACKAGE = "package:"  # a place inside this package, wherever that is installed
WIDEST = 2**14  # of a vector and of a hidden layer


@dataclass(frozen=True, kw_only=True)
class ComposerCard:
    """What a composer says of itself.

    Args:
        embedder: as `open_embedder` takes it.
        weights: `Embedder.weights` of what made the vectors it was trained on.
        dimension: of the vectors.
        hidden: of the combiner.
        trained: on what, and how well it did; for people.
    """

    embedder: str
    weights: str
    dimension: int
    hidden: int
    trained: dict[str, Any] = field(default_factory=dict)


def open_model(place: str, *, device: str | None = None) -> ComposedEmbedder:
    """A composer's folder, or `package:PATH` of one that ships; raises as `open_embedder`."""
    folder = located(place)
    card = read_card(folder)
    return ComposedEmbedder(_open_plain(folder, card.embedder, device), folder, card)


class ComposedEmbedder:
    """An embedder whose composed queries are those of a trained combiner.

    Args:
        embedder: makes the vectors.
        folder: of the composer.
        card: of the composer.

    Attributes:
        weights: the embedder's: images and texts have its vectors.
        composer: identifies the combiner.

    Raises:
        BadInput: the composer is damaged, or was trained on another embedder's vectors.
    """

    def __init__(self, embedder: Embedder, folder: Path, card: ComposerCard) -> None:
        from imagescope_agent.retrieval.embedders.combiner import WEIGHTS, load_combiner

        if (embedder.weights, embedder.dimension) != (card.weights, card.dimension):
            raise BadInput(
                f"the composer in {str(folder)!r} was trained on the vectors of other weights than those of "
                f"{shorten(card.embedder, 80)!r}; train one on yours (`imagescope train composer`)"
            )
        self._embedder = embedder
        self._combiner = load_combiner(folder, card.dimension, card.hidden)
        self.weights, self.dimension = embedder.weights, embedder.dimension
        self.composer = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """As `Embedder.images`."""
        return self._embedder.images(images)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.texts`."""
        return self._embedder.texts(texts)

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Vectors:
        """As `Composer.compose`."""
        if not images:
            return self._embedder.texts([])
        return unit_rows(self._combiner.combine(self.images(images), self.texts(texts)))


def read_card(folder: Path) -> ComposerCard:
    """Read and check a composer's card; it may be a stranger's.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    try:
        values = parse_json(read_file(folder / CARD, LARGEST))
        if values.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        card = ComposerCard(**values)
        texts, sizes = (card.embedder, card.weights), (card.dimension, card.hidden)
        if not all(isinstance(each, str) for each in texts):
            raise TypeError("embedder and weights are texts")
        if not all(type(each) is int and 0 < each <= WIDEST for each in sizes):
            raise TypeError(f"dimension and hidden are whole numbers up to {WIDEST}")
    except FileNotFoundError:
        raise BadInput(
            f"there is no composer in {str(folder)!r}; make one with `imagescope train composer`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"the composer in {str(folder)!r} is damaged: {CARD}: {why}; train it again"
        ) from error
    return card


def write_card(folder: Path, card: ComposerCard) -> None:
    """Write the card of a composer into its folder."""
    text = json.dumps({"format": FORMAT, **asdict(card)}, indent=2, ensure_ascii=False)
    write_atomic(folder / CARD, text + "\n")


def located(place: str) -> Path:
    """The folder of a place that may begin with `package:`."""
    if place.startswith(PACKAGE):
        return Path(str(files("imagescope_agent"))) / place.removeprefix(PACKAGE)
    return Path(place).expanduser()


def portable(spec: str) -> str:
    """An embedder's spec as a card keeps it: a folder of this package by `package:`, any other by its full path."""
    kind, _, place = spec.rpartition(":")
    path, root = Path(place), Path(str(files("imagescope_agent"))).resolve()
    if not path.is_dir():
        return spec
    path = path.resolve()
    where = f"{PACKAGE}{path.relative_to(root).as_posix()}" if path.is_relative_to(root) else str(path)
    return f"{kind}:{where}" if kind else where


def _open_plain(folder: Path, spec: str, device: str | None) -> Embedder:
    """The embedder that a card names; a card may be a stranger's, so it names a kind of ours and no code."""
    from imagescope_agent.retrieval.embedders import EMBEDDERS, open_embedder

    kind, _, place = spec.rpartition(PACKAGE) if PACKAGE in spec else spec.partition(":")
    if PACKAGE in spec:
        spec = f"{kind}{located(PACKAGE + place)}"
    elif place and (kind not in EMBEDDERS or kind == "composer"):
        raise BadInput(
            f"the composer in {str(folder)!r} names the embedder {shorten(spec, 80)!r}, which is of no kind of ours; "
            "train one on your embedder (`imagescope train composer`)"
        )
    return open_embedder(spec, device=device)

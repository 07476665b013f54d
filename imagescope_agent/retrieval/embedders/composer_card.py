"""What a composer says of itself: composer.json, read as data that may be a stranger's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput, shorten

CARD = "composer.json"
FORMAT, FORMAT_TOKENS = 1, 2  # the second where tokens are read, or the text tower is tuned
FORMAT_COMPOSED, FORMAT_KEPT = 3, 4  # where the embedder composes itself, and a share of that is kept
LARGEST = 2**20  # bytes of the card
OVER = " over "  # between a composer's folder and its embedder, where a profile names that
PACKAGE = "package:"  # a place inside this package, wherever that is installed
WIDEST = 2**14  # of a vector and of a hidden layer
DEEPEST = 16  # blocks
HEAD = 32  # width of an attention head


@dataclass(frozen=True, kw_only=True)
class ComposerCard:
    """What a composer says of itself.

    Args:
        embedder: as `open_embedder` takes it.
        weights: `Embedder.weights` of what made the vectors it was trained on.
        dimension: of the vectors.
        hidden: width of the network's hidden layers.
        trained: on what, and how well it did; for people.
        blocks: of the transformer over tokens; 0 for the combiner of vectors.
        widths: of the embedder's hidden states, of pictures and of texts, that the transformer reads.
        tuned: whether the text tower was tuned too.
        composed: whether the words are read by the embedder's own `compose`, together with the picture.
        kept: share of what the embedder itself composes in the vector for use.
    """

    embedder: str
    weights: str
    dimension: int
    hidden: int
    trained: dict[str, Any] = field(default_factory=dict)
    blocks: int = 0
    widths: tuple[int, ...] = ()
    tuned: bool = False
    composed: bool = False
    kept: float = 0.0

    @property
    def format(self) -> int:
        """The oldest format that says all of it."""
        if self.composed:
            return FORMAT_KEPT if self.kept else FORMAT_COMPOSED
        return FORMAT_TOKENS if self.blocks or self.tuned else FORMAT


def read_card(folder: Path) -> ComposerCard:
    """Read and check a composer's card; it may be a stranger's.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    try:
        values = parse_json(read_file(folder / CARD, LARGEST))
        if (format_ := values.pop("format")) not in range(FORMAT, FORMAT_KEPT + 1):
            raise ValueError(f"its format is not one of {FORMAT} to {FORMAT_KEPT}")
        if "widths" in values:
            values["widths"] = tuple(values["widths"])
        card = ComposerCard(**values)
        _require_sizes(card)
        if card.format != format_:
            raise ValueError(f"its format is not {card.format}")
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


def identify(place: str) -> tuple[str, int]:
    """`weights` and `dimension` of a composer's embedder without opening either.

    Raises:
        BadInput: there is no composer, or its card is damaged.
    """
    card = read_card(located(parted(place)[0]))
    return card.weights, card.dimension


def parted(place: str) -> tuple[str, str]:
    """The folder of a composer, and the embedder that the user's own profile names for it, else "": DIR[ over SPEC]."""
    folder, over, spec = place.partition(OVER)
    return (place, "") if not over or located(place).is_dir() else (folder, spec)


def _require_sizes(card: ComposerCard) -> None:
    """Make sure that a card says what it should.

    Raises:
        TypeError: it does not.
    """
    if not all(isinstance(each, str) for each in (card.embedder, card.weights)):
        raise TypeError("embedder and weights are texts")
    sizes = (card.dimension, card.hidden, *card.widths)
    if not all(type(each) is int and 0 < each <= WIDEST for each in sizes):
        raise TypeError(f"dimension, hidden and widths are whole numbers up to {WIDEST}")
    if type(card.blocks) is not int or not 0 <= card.blocks <= DEEPEST or type(card.tuned) is not bool:
        raise TypeError(f"blocks is a whole number up to {DEEPEST}, and tuned true or false")
    if type(card.composed) is not bool or (card.composed and (card.blocks or card.tuned)):
        raise TypeError("composed is true or false, and true without blocks and a tuned text tower")
    if type(card.kept) not in (int, float) or not 0 <= card.kept < 1 or (card.kept and not card.composed):
        raise TypeError("kept is a number from 0 to 1 below 1, and 0 where the embedder does not compose")
    if card.blocks and (len(card.widths) != 2 or card.hidden % HEAD):
        raise TypeError(f"a network of blocks has two widths, and hidden is a multiple of {HEAD}")


def write_card(folder: Path, card: ComposerCard) -> None:
    """Write the card of a composer into its folder."""
    values = asdict(card)
    if not card.composed:  # the older formats as they were before there were others
        del values["composed"]
    if not card.kept:
        del values["kept"]
    if card.format == FORMAT:
        values = {name: value for name, value in values.items() if name not in ("blocks", "widths", "tuned")}
    text = json.dumps({"format": card.format, **values}, indent=2, ensure_ascii=False)
    write_atomic(folder / CARD, text + "\n")


def located(place: str) -> Path:
    """The folder of a place that may begin with `package:`.

    Raises:
        BadInput: it leaves the package.
    """
    if not place.startswith(PACKAGE):
        return Path(place).expanduser()
    root = Path(str(files("imagescope_agent")))
    folder = root / place.removeprefix(PACKAGE)
    if not folder.resolve().is_relative_to(root.resolve()):
        raise BadInput(f"{shorten(place, 80)!r} lies outside the package; name a folder by its own path")
    return folder


def portable(spec: str) -> str:
    """An embedder's spec as a card keeps it: a folder of this package by `package:`, any other by its full path."""
    kind, _, place = spec.rpartition(":")
    path, root = Path(place), Path(str(files("imagescope_agent"))).resolve()
    if not path.is_dir():
        return spec
    path = path.resolve()
    where = f"{PACKAGE}{path.relative_to(root).as_posix()}" if path.is_relative_to(root) else str(path)
    return f"{kind}:{where}" if kind else where

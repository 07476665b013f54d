"""Which attention heads of a checkpoint point at what is asked for (arXiv 2506.09944), in a file beside its weights."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.checkpoint_files import hash_folder

#: JSON, but no .json: it is no part of the checkpoint, whose hash stays what it is.
HEADS = "attention_heads.card"
FORMAT = 1
LARGEST = 2**16  # bytes


@dataclass(frozen=True, kw_only=True)
class HeadsCard:
    """The heads of a checkpoint that find pictures.

    Args:
        heads: (layer, head) of each, from 0.
        worth: what the attention of each is multiplied by, so that an image's sum is its log-odds to be the one that
            is asked for; empty where all count alike, and sums only order images.
        after: whether the tokens from an image to the next one count as the image's.
        weights: hash of the checkpoint's files that they were chosen for; None of a card that does not say.
        measured: on what, and how well they did; for people.
    """

    heads: tuple[tuple[int, int], ...]
    worth: tuple[float, ...] = ()
    after: bool = False
    weights: str | None = None
    measured: dict[str, Any] = field(default_factory=dict)


def read_heads(folder: Path) -> HeadsCard | None:
    """The card of a checkpoint; None where nobody chose heads.

    Raises:
        BadInput: it is damaged.
    """
    if not (folder / HEADS).exists():
        return None
    try:
        values = parse_json(read_file(folder / HEADS, LARGEST))
        if values.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        heads = tuple((layer, head) for layer, head in values["heads"])
        card = HeadsCard(**{**values, "heads": heads, "worth": tuple(values.get("worth", ()))})
        if not card.heads or not all(type(each) is int and each >= 0 for pair in card.heads for each in pair):
            raise TypeError("heads are pairs of whole numbers")
        if card.worth and len(card.worth) != len(card.heads):
            raise TypeError("worth is a number for each head")
        if not all(type(each) in (int, float) and math.isfinite(each) for each in card.worth):
            raise TypeError("worth is finite numbers")
        if type(card.after) is not bool or not isinstance(card.weights, str | None):
            raise TypeError("after is true or false, weights a text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"{str(folder / HEADS)!r} is damaged: {why}; make it again with `imagescope train heads`, or remove it"
        ) from error
    return card


def write_heads(
    folder: Path,
    heads: Sequence[tuple[int, int]],
    measured: dict[str, Any],
    *,
    worth: Sequence[float] = (),
    after: bool = False,
) -> None:
    """Write the card beside a checkpoint, to whose weights it is bound."""
    bound = hash_folder(folder)
    card = HeadsCard(heads=tuple(heads), worth=tuple(worth), after=after, weights=bound, measured=measured)
    text = json.dumps({"format": FORMAT, **asdict(card)}, ensure_ascii=False)
    write_atomic(folder / HEADS, text + "\n")


def foreign_heads() -> BadInput:
    """The error of heads that were chosen for other weights."""
    return BadInput(
        f"the chosen attention heads ({HEADS}) are of another model; delete that file, then make it "
        "again with `imagescope train heads`"
    )

"""Which attention heads of a checkpoint point at what is asked for (arXiv 2506.09944), in a file beside its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput

#: JSON, but no .json: it is no part of the checkpoint, whose hash stays what it is.
HEADS = "attention_heads.card"
FORMAT = 1
LARGEST = 2**16  # bytes


@dataclass(frozen=True, kw_only=True)
class HeadsCard:
    """The heads of a checkpoint that find pictures.

    Args:
        heads: (layer, head) of each, from 0.
        measured: on what, and how well they did; for people.
    """

    heads: tuple[tuple[int, int], ...]
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
        card = HeadsCard(**{**values, "heads": tuple((layer, head) for layer, head in values["heads"])})
        if not card.heads or not all(type(each) is int and each >= 0 for pair in card.heads for each in pair):
            raise TypeError("heads are pairs of whole numbers")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"{str(folder / HEADS)!r} is damaged: {why}; make it again with `imagescope train heads`, or remove it"
        ) from error
    return card


def write_heads(folder: Path, heads: Sequence[tuple[int, int]], measured: dict[str, Any]) -> None:
    """Write the card beside a checkpoint."""
    card = {"format": FORMAT, **asdict(HeadsCard(heads=tuple(heads), measured=measured))}
    write_atomic(folder / HEADS, json.dumps(card, ensure_ascii=False) + "\n")

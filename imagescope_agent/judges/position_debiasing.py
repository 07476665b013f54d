"""Position debiasing: the same candidates in rotated positions and labels."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

LABELS = string.ascii_uppercase


def labelled(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels before each image of a request: the reference, then the candidates."""
    return ("Reference:", *(f"{label}:" for label in labels))


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """Candidates in one presentation order.

    Args:
        items: the candidate at each place.
        labels: the label at each place; together the first letters of the alphabet.
    """

    items: tuple[int, ...]
    labels: tuple[str, ...]

    def by_item(self, row: Sequence[float]) -> dict[int, float]:
        """Maps values of the labels, in alphabetical order, to the items."""
        return {item: row[LABELS.index(label)] for item, label in zip(self.items, self.labels, strict=True)}


def presentations(items: Sequence[int], rounds: int, rng: Random | None = None) -> list[Presentation]:
    """The items in `rounds` (at most as many as there are items) rotations.

    No item has the same place or the same label twice: a model that always names one label, or one place,
    names another item every time. Two items in two rounds are the usual "both orders".

    Args:
        items: at most 26.
        rounds: how often they are shown.
        rng: shuffles the items before the first round; without it they are shown in order.
    """
    count = len(items)
    start = list(items)
    if rng is not None:
        rng.shuffle(start)
    return [
        Presentation(
            items=tuple(start[(place + turn) % count] for place in range(count)),
            labels=tuple(LABELS[(place + 2 * turn) % count] for place in range(count)),
        )
        for turn in range(min(rounds, count))
    ]

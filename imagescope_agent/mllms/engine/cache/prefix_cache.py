"""What the language model made of the pictures in front of a question, so that a later one reads only its own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from cachetools import LRUCache

from imagescope_agent.mllms.engine.prefix_batching import PackedRow

#: Keys and values of a prefix layer by layer, each (2, heads, tokens, width).
Held = tuple[torch.Tensor, ...]


class PrefixCache:
    """Keys and values of the prefixes used last, at most `bound` bytes."""

    def __init__(self, bound: int) -> None:
        self._held: LRUCache[Any, Held] = LRUCache(bound, getsizeof=_size)

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()

    def look_up(self, rows: Sequence[PackedRow]) -> None:
        """Tell each row what is held of its prefix."""
        for row in rows:
            row.held = self._held.get(row.key) if row.key else None

    def keep(self, rows: Sequence[PackedRow], cache: Any) -> None:
        """Hold the prefixes of rows that were just read with `cache`."""
        for index, row in enumerate(rows):
            if row.key and row.key not in self._held:
                held = tuple(
                    torch.stack(
                        [layer.keys[index, :, : row.pictured], layer.values[index, :, : row.pictured]]
                    )
                    for layer in cache.layers
                )
                if _size(held) <= self._held.maxsize:
                    self._held[row.key] = held


def fill(cache: Any, rows: Sequence[PackedRow]) -> Any:
    """Begin an empty cache with what is held of the rows' prefixes: of all, in one length, or of none."""
    held = [row.held for row in rows if row.held is not None]
    for number in range(len(held[0]) if held else 0):
        both = torch.stack([each[number] for each in held], dim=1)  # 2, rows, heads, tokens, width
        cache.update(both[0], both[1], number)
    return cache


def _size(held: Held) -> int:
    return sum(each.numel() * each.element_size() for each in held)

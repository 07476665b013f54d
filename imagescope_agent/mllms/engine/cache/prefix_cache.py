"""Prefix cache: repeated questions about an image prefill only their suffix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from cachetools import LRUCache

from imagescope_agent.mllms.engine.backends.prefix_batching import PackedRow

#: Keys and values of a prefix, layer by layer, each (2, heads, tokens, width).
PrefixKV = tuple[torch.Tensor, ...]


class PrefixCache:
    """Keys and values of the least recently used prefixes, at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._prefixes: LRUCache[Any, PrefixKV] = LRUCache(max_bytes, getsizeof=_nbytes)

    def clear(self) -> None:
        """Empty the cache."""
        self._prefixes.clear()

    def look_up(self, rows: Sequence[PackedRow]) -> None:
        """Set `cached_prefix` of each row."""
        for row in rows:
            row.cached_prefix = self._prefixes.get(row.key) if row.key else None

    def put(self, rows: Sequence[PackedRow], cache: Any) -> None:
        """Store the prefixes of rows that were just prefilled into `cache`."""
        for index, row in enumerate(rows):
            if row.key and row.key not in self._prefixes:
                end = row.image_prefix
                prefix = tuple(
                    torch.stack([layer.keys[index, :, :end], layer.values[index, :, :end]])
                    for layer in cache.layers
                )
                if _nbytes(prefix) <= self._prefixes.maxsize:
                    self._prefixes[row.key] = prefix


def fill(cache: Any, rows: Sequence[PackedRow]) -> Any:
    """Start an empty KV cache with the rows' cached prefixes: all rows have one, of the same length, or none has."""
    prefixes = [row.cached_prefix for row in rows if row.cached_prefix is not None]
    for layer in range(len(prefixes[0]) if prefixes else 0):
        both = torch.stack([each[layer] for each in prefixes], dim=1)  # 2, rows, heads, tokens, width
        cache.update(both[0], both[1], layer)
    return cache


def _nbytes(prefix: PrefixKV) -> int:
    return sum(each.nbytes for each in prefix)

"""KV cache that appends tokens, adds rows and drops rows in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

SPARE = 64  # tokens of spare capacity; rows get a quarter more than they need


class AppendableLayer(DynamicLayer):
    """One layer's keys and values, (rows, heads, tokens, width) each: views into preallocated blocks.

    `DynamicLayer` of transformers appends by concatenation, which copies the whole cache for every token.

    Attributes:
        views: keys and values, the same tensors as `keys` and `values`.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.views = keys, values
        self._blocks: tuple[torch.Tensor, ...] = ()
        self._first: int = 0
        self._end: int = 0
        self._allocate(len(keys), 0, 0)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append tokens; returns all keys and values."""
        added = key_states.shape[2]
        if self._end + added > self._blocks[0].shape[2]:
            self._allocate(len(self.views[0]), 0, added)
        start, self._end = self._end, self._end + added
        for block, new in zip(self._blocks, (key_states, value_states), strict=True):
            block[: len(new), :, start : self._end] = new
        return self._set_views(len(key_states))

    def join(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add rows, right-aligned with the existing ones; shorter ones are padded with 0 on the left."""
        rows, longer = len(self.views[0]), keys.shape[2] - self.views[0].shape[2]
        if rows + len(keys) > len(self._blocks[0]) or longer > self._first:
            self._allocate(rows + len(keys), longer + SPARE if longer > 0 else 0, 0)
        if longer > 0:
            for block in self._blocks:
                block[:rows, :, self._first - longer : self._first] = 0
            self._first -= longer
        for block, new in zip(self._blocks, (keys, values), strict=True):
            start = self._end - new.shape[2]
            block[rows : rows + len(new), :, self._first : start] = 0
            block[rows : rows + len(new), :, start : self._end] = new
        self._set_views(rows + len(keys))

    def keep(self, order: Sequence[int], empty: int) -> None:
        """Keep these rows in this order (see `compact_order`), without the first `empty` tokens."""
        for block in self._blocks:
            for place, row in enumerate(order):
                if place != row:
                    block[place, :, self._first : self._end] = block[row, :, self._first : self._end]
        self._first += empty
        self._set_views(len(order))

    def crop(self, count: int) -> None:
        """Drop the last `count` tokens of every row."""
        self._end -= count
        self._set_views(len(self.views[0]))

    def select(self, index: torch.Tensor) -> None:
        """Keep these tokens of each row: (rows, kept) indices, in order."""
        for block, view in zip(self._blocks, self.views, strict=True):
            places = index[:, None, :, None].expand(-1, view.shape[1], -1, view.shape[3])
            block[: len(view), :, self._end - index.shape[1] : self._end] = view.gather(2, places)
        self._first = self._end - index.shape[1]
        self._set_views(len(index))

    def _allocate(self, rows: int, before: int, after: int) -> None:
        """Copy into new blocks with capacity for so many rows, and for tokens before and after."""
        blocks = []
        for view in self.views:
            count, heads, tokens, width = view.shape
            block = view.new_empty(rows + rows // 4, heads, before + tokens + after + SPARE, width)
            block[:count, :, before : before + tokens] = view
            blocks.append(block)
        self._blocks = tuple(blocks)
        self._first, self._end = before, before + self.views[0].shape[2]
        self._set_views(len(self.views[0]))

    def _set_views(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (block[:rows, :, self._first : self._end] for block in self._blocks)
        self.views = self.keys, self.values = keys, values
        return keys, values


def make_appendable(cache: Any) -> Any:
    """Replace the layers of a prefilled cache by appendable ones."""
    cache.layers = [AppendableLayer(layer.keys, layer.values) for layer in cache.layers]
    return cache


def compact_order(rows: Sequence[int]) -> list[int]:
    """The rows that stay (ascending), in an order that moves few: the last ones fill the gaps."""
    count = len(rows)
    moved = [row for row in rows if row >= count]
    staying = {row for row in rows if row < count}
    return [place if place in staying else moved.pop() for place in range(count)]

"""Keys and values of replies that are being written: a token or the end of a reply moves nothing that is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

SPARE = 64  # tokens of room; rows are given a quarter more than they need


class AppendableLayer(DynamicLayer):
    """One layer's keys and values, (rows, heads, tokens, width) each, shown out of blocks that have room for more.

    A layer as the library has it appends by copying all that is held, for every token of every reply.

    Attributes:
        held: keys and values, as the library's `keys` and `values` show them.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.held = keys, values
        self._blocks: tuple[torch.Tensor, ...] = ()
        self._first: int = 0
        self._end: int = 0
        self._own(len(keys), 0, 0)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the next tokens; everything that is held now."""
        more = key_states.shape[2]
        if self._end + more > self._blocks[0].shape[2]:
            self._own(len(self.held[0]), 0, more)
        start, self._end = self._end, self._end + more
        for block, new in zip(self._blocks, (key_states, value_states), strict=True):
            block[: len(new), :, start : self._end] = new
        return self._show(len(key_states))

    def join(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add rows; their tokens end where those that are held end, and what is missing before them is 0."""
        rows, longer = len(self.held[0]), keys.shape[2] - self.held[0].shape[2]
        if rows + len(keys) > len(self._blocks[0]) or longer > self._first:
            self._own(rows + len(keys), longer + SPARE if longer > 0 else 0, 0)
        if longer > 0:
            for block in self._blocks:
                block[:rows, :, self._first - longer : self._first] = 0
            self._first -= longer
        for block, new in zip(self._blocks, (keys, values), strict=True):
            start = self._end - new.shape[2]
            block[rows : rows + len(new), :, self._first : start] = 0
            block[rows : rows + len(new), :, start : self._end] = new
        self._show(rows + len(keys))

    def keep(self, order: Sequence[int], empty: int) -> None:
        """Keep these rows in this order (see `closed_up`), without the first `empty` tokens."""
        for block in self._blocks:
            for place, row in enumerate(order):
                if place != row:
                    block[place, :, self._first : self._end] = block[row, :, self._first : self._end]
        self._first += empty
        self._show(len(order))

    def _own(self, rows: int, before: int, after: int) -> None:
        """Copy what is held into blocks with room: for so many rows, and for tokens before and after."""
        blocks = []
        for held in self.held:
            count, heads, tokens, width = held.shape
            block = held.new_empty(rows + rows // 4, heads, before + tokens + after + SPARE, width)
            block[:count, :, before : before + tokens] = held
            blocks.append(block)
        self._blocks = tuple(blocks)
        self._first, self._end = before, before + self.held[0].shape[2]
        self._show(len(self.held[0]))

    def _show(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (block[:rows, :, self._first : self._end] for block in self._blocks)
        self.held = self.keys, self.values = keys, values
        return keys, values


def running(cache: Any) -> Any:
    """A cache that was filled, made to run on in place."""
    cache.layers = [AppendableLayer(layer.keys, layer.values) for layer in cache.layers]
    return cache


def closed_up(rows: Sequence[int]) -> list[int]:
    """The rows that stay, (ascending), in an order that moves few: the last ones into the places that got free."""
    count = len(rows)
    moved = [row for row in rows if row >= count]
    staying = {row for row in rows if row < count}
    return [place if place in staying else moved.pop() for place in range(count)]

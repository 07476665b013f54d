"""Keys and values of replies that are being written: a token or the end of a reply moves nothing that is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

SPARE = 64  # tokens of room to the right


class RunningLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, (rows, heads, tokens, width) each, shown out of blocks that have room for more.

    A layer as the library has it appends by copying all that is held, for every token of every reply.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._blocks: tuple[torch.Tensor, ...] = ()
        self._shown: torch.Tensor | None = None
        self._first = self._end = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the next tokens; everything that is held now."""
        more = key_states.shape[2]
        if self.keys is not self._shown or self._end + more > self._blocks[0].shape[2]:
            self._own(more)
        start, self._end = self._end, self._end + more
        for block, new in zip(self._blocks, (key_states, value_states), strict=True):
            block[: len(new), :, start : self._end] = new
        return self._show(len(key_states))

    def keep(self, order: Sequence[int], empty: int) -> None:
        """Keep these rows in this order, without the first `empty` tokens."""
        if self.keys is not self._shown:
            rows = list(order)
            self.keys, self.values = self.keys[rows, :, empty:], self.values[rows, :, empty:]
            return
        for block in self._blocks:
            for place, row in enumerate(order):
                if place != row:
                    block[place, :, self._first : self._end] = block[row, :, self._first : self._end]
        self._first += empty
        self._show(len(order))

    def _own(self, more: int) -> None:
        """Copy what is held into blocks with room."""
        blocks = []
        for held in (self.keys, self.values):
            rows, heads, tokens, width = held.shape
            block = held.new_empty(rows, heads, tokens + more + SPARE, width)
            block[:, :, :tokens] = held
            blocks.append(block)
        self._blocks, self._first, self._end = tuple(blocks), 0, self.keys.shape[2]

    def _show(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys, self.values = (block[:rows, :, self._first : self._end] for block in self._blocks)
        self._shown = self.keys
        return self.keys, self.values


def set_running(cache: Any) -> None:
    """Have a cache that was filled run on in place."""
    cache.layers = [
        layer if isinstance(layer, RunningLayer) else RunningLayer(layer.keys, layer.values)
        for layer in cache.layers
    ]


def closed_up(rows: Sequence[int]) -> list[int]:
    """The rows that stay, (ascending), in an order that moves few: the last ones into the places that got free."""
    count = len(rows)
    moved = [row for row in rows if row >= count]
    staying = {row for row in rows if row < count}
    return [place if place in staying else moved.pop() for place in range(count)]

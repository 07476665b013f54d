"""Encoder cache: vision features by image content, so that a known image never passes the vision encoder again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache

from imagescope_agent.mllms.engine.cache.encoder_disk_cache import EncoderDiskCache


@dataclass(frozen=True, kw_only=True)
class EncoderOutput:
    """Vision features of one image (or of images that must be encoded together).

    Attributes:
        embeds: (tokens, width) input embeddings of the language model.
        deepstack: further features added to its first layers, each (tokens, width).
        grid: patches in time, height, width; empty where positions do not depend on it.
    """

    embeds: torch.Tensor
    deepstack: tuple[torch.Tensor, ...] = ()
    grid: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(each.nbytes for each in (self.embeds, *self.deepstack))

    def tensors(self) -> dict[str, torch.Tensor]:
        """As named tensors, for a file."""
        named = {"embeds": self.embeds, "grid": torch.tensor(self.grid, dtype=torch.int64)}
        return {**named, **{f"deep.{layer}": each for layer, each in enumerate(self.deepstack)}}

    @classmethod
    def from_tensors(cls, named: dict[str, torch.Tensor]) -> EncoderOutput:
        """Inverse of `tensors`."""
        deepstack = tuple(named[f"deep.{layer}"] for layer in range(len(named) - 2))
        return cls(embeds=named["embeds"], deepstack=deepstack, grid=tuple(named["grid"].tolist()))


class EncoderCache:
    """Least recently used encoder outputs: at most `max_bytes` in memory (0: none), more in `disk`.

    Attributes:
        hits: how many outputs needed no encoder so far.
    """

    def __init__(self, max_bytes: int, disk: EncoderDiskCache | None = None) -> None:
        self.disk, self.hits = disk, 0
        self._memory: LRUCache[str, EncoderOutput] = LRUCache(max_bytes, getsizeof=lambda each: each.nbytes)

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return int(self._memory.currsize)

    def get(self, key: str, device: torch.device) -> EncoderOutput | None:
        """The output for that content, None when it is not cached."""
        if (found := self._memory.get(key)) is not None:
            return found
        if self.disk is None or (named := self.disk.get(key, device)) is None:
            return None
        output = EncoderOutput.from_tensors(named)
        self._hold(key, output)
        return output

    def put(self, key: str, output: EncoderOutput) -> None:
        """Cache an output, evicting the least recently used ones."""
        self._hold(key, output)
        if self.disk is not None:
            self.disk.put(key, output.tensors())

    def get_or_encode(
        self,
        inputs: Mapping[str, Any],
        device: torch.device,
        encode: Callable[[Mapping[str, Any]], Iterable[tuple[str, EncoderOutput]]],
    ) -> tuple[dict[str, EncoderOutput], frozenset[str]]:
        """Outputs by key, and the keys that were not cached and had to be encoded.

        Args:
            inputs: of the vision encoder, by key.
            device: where the outputs are wanted.
            encode: outputs by key for some of the inputs.
        """
        found = {key: hit for key in inputs if (hit := self.get(key, device)) is not None}
        self.hits += len(found)
        missing = {key: each for key, each in inputs.items() if key not in found}
        for key, output in encode(missing):
            self.put(key, output)
            found[key] = output
        return found, frozenset(missing)

    def clear(self) -> None:
        """Empty the cache in memory."""
        self._memory.clear()

    def _hold(self, key: str, output: EncoderOutput) -> None:
        if output.nbytes <= self._memory.maxsize and key not in self._memory:
            self._memory[key] = output

"""Vision features by content: a picture that is known never passes the vision tower again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from imagescope_agent.mllms.engine.cache.encoder_disk_cache import EncoderDiskCache


@dataclass(frozen=True, kw_only=True)
class EncoderOutput:
    """What the vision tower makes of one picture (or of pictures that must be seen together).

    Attributes:
        embeds: (tokens, width) as the language model takes them.
        deep: further features added to its first layers, each (tokens, width).
        grid: patches in time, height, width; empty where positions do not depend on it.
    """

    embeds: torch.Tensor
    deep: tuple[torch.Tensor, ...] = ()
    grid: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(each.numel() * each.element_size() for each in (self.embeds, *self.deep))

    def tensors(self) -> dict[str, torch.Tensor]:
        """As named tensors, for a file."""
        named = {"embeds": self.embeds, "grid": torch.tensor(self.grid, dtype=torch.int64)}
        return {**named, **{f"deep.{layer}": each for layer, each in enumerate(self.deep)}}

    @classmethod
    def from_tensors(cls, named: dict[str, torch.Tensor]) -> EncoderOutput:
        """What `tensors` gave."""
        deep = tuple(named[f"deep.{layer}"] for layer in range(len(named) - 2))
        return cls(embeds=named["embeds"], deep=deep, grid=tuple(named["grid"].tolist()))


class EncoderCache:
    """The features used last: at most `bound` bytes in memory (0: none), more on a shelf where there is one."""

    def __init__(self, bound: int, shelf: EncoderDiskCache | None = None) -> None:
        self.bound = bound
        self.shelf = shelf
        self.held = 0
        self._features: OrderedDict[str, EncoderOutput] = OrderedDict()

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: str, device: torch.device) -> EncoderOutput | None:
        """The features of that content, if still held."""
        if (found := self._features.get(key)) is not None:
            self._features.move_to_end(key)
            return found
        if self.shelf is None or (named := self.shelf.get(key, device)) is None:
            return None
        features = EncoderOutput.from_tensors(named)
        self._hold(key, features)
        return features

    def put(self, key: str, features: EncoderOutput) -> None:
        """Hold the features, letting go of those not used for longest."""
        self._hold(key, features)
        if self.shelf is not None:
            self.shelf.put(key, features.tensors())

    def clear(self) -> None:
        """Let go of everything in memory."""
        self._features.clear()
        self.held = 0

    def _hold(self, key: str, features: EncoderOutput) -> None:
        if features.size > self.bound or key in self._features:
            return
        self._features[key] = features
        self.held += features.size
        while self.held > self.bound:
            self.held -= self._features.popitem(last=False)[1].size


def look_up(
    cache: EncoderCache,
    keys: Iterable[str],
    device: torch.device,
    make: Callable[[Sequence[str]], Iterable[tuple[str, EncoderOutput]]],
) -> tuple[dict[str, EncoderOutput], frozenset[str]]:
    """Features by key, and the keys that were not known and had to be made."""
    wanted = list(dict.fromkeys(keys))
    found = {key: hit for key in wanted if (hit := cache.get(key, device)) is not None}
    missing = [key for key in wanted if key not in found]
    for key, features in make(missing):
        cache.put(key, features)
        found[key] = features
    return found, frozenset(missing)

"""Vision features by picture: a picture that is known never passes the vision tower again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Picture


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the vision tower makes of one picture.

    Attributes:
        embeds: (tokens, width) as the language model takes them.
        deep: further features added to its first layers, each (tokens, width).
        grid: patches in time, height, width.
    """

    embeds: torch.Tensor
    deep: tuple[torch.Tensor, ...]
    grid: tuple[int, int, int]

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(each.numel() * each.element_size() for each in (self.embeds, *self.deep))


class FeatureCache:
    """The features used last, in memory, at most `bound` bytes of them (0: none)."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.held = 0
        self._features: OrderedDict[str, Features] = OrderedDict()

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: str) -> Features | None:
        """The features of the picture of that content, if still held."""
        if (found := self._features.get(key)) is not None:
            self._features.move_to_end(key)
        return found

    def put(self, key: str, features: Features) -> None:
        """Hold the features, letting go of those not used for longest."""
        if features.size > self.bound or key in self._features:
            return
        self._features[key] = features
        self.held += features.size
        while self.held > self.bound:
            self.held -= self._features.popitem(last=False)[1].size

    def clear(self) -> None:
        """Let go of everything."""
        self._features.clear()
        self.held = 0


class Vision:
    """The vision tower of a Qwen-VL checkpoint behind the caches.

    Args:
        batch_patches: patches that pass the tower at once.
    """

    def __init__(self, checkpoint: Checkpoint, cache: FeatureCache, *, batch_patches: int) -> None:
        self._checkpoint = checkpoint
        self._batch_patches = batch_patches
        self.cache = cache
        self.prefills = 0

    def features(self, pictures: Iterable[Picture]) -> tuple[dict[str, Features], frozenset[str]]:
        """Features by picture key, and the keys that had to pass the tower.

        Raises:
            BadInput: a picture cannot be decoded.
        """
        wanted = {picture.key: picture for picture in pictures}
        found = {key: hit for key in wanted if (hit := self.cache.get(key)) is not None}
        missing = [picture for key, picture in wanted.items() if key not in found]
        for key, features in self._prefill(missing):
            self.cache.put(key, features)
            found[key] = features
        return found, frozenset(picture.key for picture in missing)

    def _prefill(self, pictures: Sequence[Picture]) -> Iterable[tuple[str, Features]]:
        if not pictures:
            return
        processed = [self._process(picture) for picture in pictures]
        start = 0
        while start < len(processed):
            stop, patches = start, 0
            while stop < len(processed) and (
                stop == start or patches + len(processed[stop][0]) <= self._batch_patches
            ):
                patches += len(processed[stop][0])
                stop += 1
            encoded = self._encode(processed[start:stop])
            yield from zip((picture.key for picture in pictures[start:stop]), encoded, strict=True)
            start = stop

    def _process(self, picture: Picture) -> tuple[torch.Tensor, torch.Tensor]:
        made = self._checkpoint.processor.image_processor(images=[picture.pixels()], return_tensors="pt")
        return made["pixel_values"], made["image_grid_thw"]

    def _encode(self, processed: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[Features]:
        device, dtype = self._checkpoint.device, self._checkpoint.dtype
        pixels = torch.cat([each for each, _ in processed]).to(device, dtype)
        grids = torch.cat([grid for _, grid in processed])
        made: Any = self._checkpoint.model.model.get_image_features(
            pixels, grids.to(device), return_dict=True
        )
        deep = getattr(made, "deepstack_features", None) or []
        self.prefills += len(processed)
        return [
            Features(
                embeds=embeds.clone(),  # a view would keep the whole batch alive in the cache
                deep=tuple(layer[index].clone() for layer in deep),
                grid=tuple(grids[index].tolist()),
            )
            for index, embeds in enumerate(made.pooler_output)
        ]

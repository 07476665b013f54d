"""Qwen-VL formats: a cache entry a picture, three position axes, pictures expanded to their tokens here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation, Picture, Turn
from imagescope_agent.mllms.hosting.features import FeatureCache, Features, look_up
from imagescope_agent.mllms.hosting.prompt import Prepared, Prompt, chat, control_tokens, line
from imagescope_agent.mllms.hosting.refusing import refusing

_PROCESSED = 32  # pictures given to the processor at once
_MEND = "ask it differently, or of another model"

FAMILIES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl"})


class Qwen:
    """Applies the chat template once per question, whatever number of pictures it is asked about.

    Args:
        batch_patches: patches that pass the vision tower at once.
    """

    axes = 3

    def __init__(self, checkpoint: Checkpoint, cache: FeatureCache, *, batch_patches: int) -> None:
        config = checkpoint.model.config
        self._checkpoint = checkpoint
        self._batch_patches = batch_patches
        self._end = int(config.vision_end_token_id)
        self._merge = int(config.vision_config.spatial_merge_size)
        self._special = control_tokens(checkpoint.tokenizer)
        self._template = lru_cache(maxsize=4096)(self._apply)
        self._grid = lru_cache(maxsize=256)(self._make_grid)
        self.image_token = int(config.image_token_id)
        self.cache = cache
        self.prefills = 0

    def prepare(self, conversations: Sequence[Conversation]) -> Prepared:
        """The prompts and the features they need.

        Raises:
            RequestRefused: a picture cannot be decoded or processed.
        """
        shown = {picture.key: picture for each in conversations for picture in each.pictures}
        features, fresh = look_up(
            self.cache, shown, self._checkpoint.device, lambda keys: self._see([shown[key] for key in keys])
        )
        prompts: list[Prompt | BadInput] = []
        for conversation in conversations:
            try:
                prompts.append(
                    self._encode(conversation, [features[each.key] for each in conversation.pictures])
                )
            except BadInput as error:
                prompts.append(error)
        return Prepared(prompts=prompts, features=features, fresh=fresh)

    def count(self, conversation: Conversation) -> int:
        """Tokens of the prompt, without the vision tower.

        Raises:
            RequestRefused: a picture cannot be decoded or processed.
        """
        text = len(self._template(conversation.turns)) - len(conversation.pictures)
        return text + sum(self.sizes(conversation))

    def sizes(self, conversation: Conversation) -> list[int]:
        """How many tokens stand for each picture."""
        patches = self._checkpoint.processor.image_processor.get_number_of_image_patches
        sides = [picture.pixels().size for picture in conversation.pictures]
        with refusing("the model's processor does not take this picture", mend=_MEND):
            return [patches(height, width, {}) // self._merge**2 for width, height in sides]

    def _encode(self, conversation: Conversation, features: Sequence[Features]) -> Prompt:
        ids = self._template(conversation.turns)
        places = [index for index, each in enumerate(ids) if each == self.image_token]
        if len(places) != len(features):
            raise BadInput(f"the chat template shows {len(places)} of {len(features)} pictures")
        parts: list[NDArray[np.int64]] = []
        positions: list[NDArray[np.int64]] = []
        start = after = 0
        for place, each in zip(places, features, strict=True):
            parts += [np.asarray(ids[start:place]), np.full(len(each.embeds), self.image_token)]
            text, grid = place - start, self._grid(*each.grid)
            positions += [line(after, text, 3), grid + (after + text)]
            after += text + int(grid.max()) + 1
            start = place + 1
        parts.append(np.asarray(ids[start:]))
        positions.append(line(after, len(ids) - start, 3))
        tokens = np.concatenate(parts).astype(np.int64)
        self._checkpoint.check_length(len(tokens))
        ended = bool(places) and start < len(ids) and ids[start] == self._end
        return Prompt(
            ids=tokens,
            positions=np.concatenate(positions, axis=1),
            pictures=tuple(picture.key for picture in conversation.pictures),
            prefix=len(tokens) - (len(ids) - start) + ended if places else 0,
        )

    def _make_grid(self, time: int, height: int, width: int) -> NDArray[np.int64]:
        return np.indices((time, height // self._merge, width // self._merge)).reshape(3, -1)

    def _apply(self, turns: tuple[Turn, ...]) -> tuple[int, ...]:
        written = chat(turns, (), self._special)
        with refusing("the model's chat template does not take this request", mend=_MEND):
            text = self._checkpoint.processor.apply_chat_template(
                written, tokenize=False, add_generation_prompt=True
            )
        return tuple(self._checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _see(self, pictures: Sequence[Picture]) -> Iterable[tuple[str, Features]]:
        processed = list(self._process(pictures))
        start = 0
        while start < len(processed):
            stop, patches = start + 1, len(processed[start][0])
            while stop < len(processed) and patches + len(processed[stop][0]) <= self._batch_patches:
                patches += len(processed[stop][0])
                stop += 1
            seen = self._tower(processed[start:stop])
            yield from zip((picture.key for picture in pictures[start:stop]), seen, strict=True)
            start = stop

    def _process(self, pictures: Sequence[Picture]) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Patches and grid of each picture; the processor is fastest with several of the same size."""
        for start in range(0, len(pictures), _PROCESSED):
            images = [picture.pixels() for picture in pictures[start : start + _PROCESSED]]
            with refusing("the model's processor does not take this picture", mend=_MEND):
                made = self._checkpoint.processor.image_processor(images=images, return_tensors="pt")
                grids = made["image_grid_thw"]
                patches = made["pixel_values"].split(grids.prod(dim=-1).tolist())
            yield from zip(patches, grids[:, None], strict=True)

    def _tower(self, processed: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[Features]:
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

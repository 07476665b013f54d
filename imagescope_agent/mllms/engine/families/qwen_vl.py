"""Qwen-VL: one cache entry an image, three position axes, image tokens expanded after the chat template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderCache, EncoderOutput
from imagescope_agent.mllms.engine.chat_template import to_chat
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation, ImageInput, Turn, refuse_on_error
from imagescope_agent.mllms.engine.families.base import FamilyAdapter, Prompt, text_positions

_PROCESSOR_BATCH = 32  # images given to the processor at once
_PATCHES_PER_TOKEN = 4  # patches in one forward of the vision encoder, by tokens in one of the language model
_ADVICE = "ask it differently, or of another model"


class QwenVL(FamilyAdapter):
    """Applies the chat template once per question, however many images it is asked about."""

    axes = 3

    def __init__(self, checkpoint: Checkpoint, cache: EncoderCache, *, batch_tokens: int) -> None:
        super().__init__(checkpoint, cache, batch_tokens=batch_tokens)
        config = checkpoint.model.config
        self.image_token = int(config.image_token_id)
        self._vision_end = int(config.vision_end_token_id)
        self._merge = int(config.vision_config.spatial_merge_size)
        self._template = lru_cache(maxsize=4096)(self._apply_template)
        self._grid = lru_cache(maxsize=256)(self._grid_positions)

    @override
    def encoder_inputs(self, conversation: Conversation) -> Mapping[str, ImageInput]:
        return {image.key: image for image in conversation.images}

    @override
    def encode(self, inputs: Mapping[str, ImageInput]) -> Iterable[tuple[str, EncoderOutput]]:
        keys = list(inputs)
        processed = list(self._process(list(inputs.values())))
        start = 0
        while start < len(processed):
            stop, patches = start + 1, len(processed[start][0])
            while stop < len(processed):
                patches += len(processed[stop][0])
                if patches > _PATCHES_PER_TOKEN * self.batch_tokens:
                    break
                stop += 1
            yield from zip(keys[start:stop], self._forward(processed[start:stop]), strict=True)
            start = stop

    @override
    def tokenize(self, conversation: Conversation, features: Mapping[str, EncoderOutput]) -> Prompt:
        ids = self._template(conversation.turns)
        images = [features[key] for key in conversation.image_keys]
        places = [index for index, each in enumerate(ids) if each == self.image_token]
        if len(places) != len(images):
            raise BadInput(f"the chat template shows {len(places)} of {len(images)} pictures")
        parts: list[NDArray[np.int64]] = []
        positions: list[NDArray[np.int64]] = []
        start = position = 0
        for place, image in zip(places, images, strict=True):
            parts += [np.asarray(ids[start:place]), np.full(len(image.embeds), self.image_token)]
            text, grid = place - start, self._grid(*image.grid)
            positions += [text_positions(position, text, 3), grid + (position + text)]
            position += text + int(grid.max()) + 1
            start = place + 1
        parts.append(np.asarray(ids[start:]))
        positions.append(text_positions(position, len(ids) - start, 3))
        tokens = np.concatenate(parts).astype(np.int64)
        self.checkpoint.check_length(len(tokens))
        closed = bool(places) and start < len(ids) and ids[start] == self._vision_end
        return Prompt(
            ids=tokens,
            positions=np.concatenate(positions, axis=1),
            image_keys=conversation.image_keys,
            prefix=len(tokens) - (len(ids) - start) + closed if places else 0,
        )

    @override
    def count_tokens(self, conversation: Conversation) -> int:
        text = len(self._template(conversation.turns)) - len(conversation.images)
        return text + sum(self.image_sizes(conversation))

    @override
    def image_sizes(self, conversation: Conversation) -> list[int]:
        patches = self.checkpoint.processor.image_processor.get_number_of_image_patches
        sides = [image.pixels().size for image in conversation.images]
        with refuse_on_error("the model's processor does not take this picture", advice=_ADVICE):
            return [patches(height, width, {}) // self._merge**2 for width, height in sides]

    def _grid_positions(self, time: int, height: int, width: int) -> NDArray[np.int64]:
        return np.indices((time, height // self._merge, width // self._merge)).reshape(3, -1)

    def _apply_template(self, turns: tuple[Turn, ...]) -> tuple[int, ...]:
        chat = to_chat(turns, (), self.checkpoint.control_tokens)
        with refuse_on_error("the model's chat template does not take this request", advice=_ADVICE):
            text = self.checkpoint.processor.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True
            )
        return tuple(self.checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _process(self, images: Sequence[ImageInput]) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Patches and grid of each image; the processor is fastest with several of the same size."""
        for start in range(0, len(images), _PROCESSOR_BATCH):
            pixels = [image.pixels() for image in images[start : start + _PROCESSOR_BATCH]]
            with refuse_on_error("the model's processor does not take this picture", advice=_ADVICE):
                processed = self.checkpoint.processor.image_processor(images=pixels, return_tensors="pt")
                grids = processed["image_grid_thw"]
                patches = processed["pixel_values"].split(grids.prod(dim=-1).tolist())
            yield from zip(patches, grids[:, None], strict=True)

    def _forward(self, processed: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[EncoderOutput]:
        device, dtype = self.checkpoint.device, self.checkpoint.dtype
        pixels = torch.cat([patches for patches, _ in processed]).to(device, dtype)
        grids = torch.cat([grid for _, grid in processed])
        output: Any = self.checkpoint.model.model.get_image_features(
            pixels, grids.to(device), return_dict=True
        )
        deepstack = getattr(output, "deepstack_features", None) or []
        self.encoded_images += len(processed)
        return [
            EncoderOutput(
                embeds=embeds.clone(),  # a view would keep the whole batch alive in the cache
                deepstack=tuple(layer[index].clone() for layer in deepstack),
                grid=tuple(grids[index].tolist()),
            )
            for index, embeds in enumerate(output.pooler_output)
        ]

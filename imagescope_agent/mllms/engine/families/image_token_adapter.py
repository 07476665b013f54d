"""Families with one position axis, whose processor expands each image to as many tokens as it has features."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
import torch
from typing_extensions import override

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderCache, EncoderOutput
from imagescope_agent.mllms.engine.checkpoint import Checkpoint, to_device
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.families.base import FamilyAdapter, Prompt, text_positions


class ImageTokenAdapter(FamilyAdapter):
    """Caches the images of a conversation as one entry: some processors treat them together."""

    def __init__(self, checkpoint: Checkpoint, cache: EncoderCache, *, batch_tokens: int) -> None:
        super().__init__(checkpoint, cache, batch_tokens=batch_tokens)
        self._token_ids = lru_cache(maxsize=4096)(self._tokenize)
        self._encoder_options: frozenset[str] = frozenset()
        if checkpoint.has_vision:
            self.image_token = int(checkpoint.model.config.image_token_id)
            encode = checkpoint.model.model.get_image_features
            self._encoder_options = frozenset(inspect.signature(encode).parameters)

    @override
    def encoder_inputs(self, conversation: Conversation) -> Mapping[str, Conversation]:
        return {_key(conversation): conversation} if conversation.images else {}

    @override
    def encode(self, inputs: Mapping[str, Conversation]) -> Iterable[tuple[str, EncoderOutput]]:
        for key, conversation in inputs.items():
            processed = self.checkpoint.prompt_inputs([conversation])
            options = to_device(self.checkpoint, processed, only=self._encoder_options)
            output = self.checkpoint.model.model.get_image_features(**options, return_dict=True).pooler_output
            parts = [output] if isinstance(output, torch.Tensor) else list(output)
            embeds = torch.cat([part.reshape(-1, part.shape[-1]) for part in parts]).clone()
            tokens = int((processed["input_ids"] == self.image_token).sum())
            if len(embeds) != tokens:
                raise RequestRefused(f"the processor made {tokens} picture tokens for {len(embeds)} features")
            self.encoded_images += len(conversation.images)
            yield key, EncoderOutput(embeds=embeds)

    @override
    def tokenize(self, conversation: Conversation, features: Mapping[str, EncoderOutput]) -> Prompt:
        ids = np.asarray(self._token_ids(conversation), dtype=np.int64)
        self.checkpoint.check_length(len(ids))
        places = np.flatnonzero(ids == self.image_token)
        return Prompt(
            ids=ids,
            positions=text_positions(0, len(ids), 1),
            image_keys=tuple(self.encoder_inputs(conversation)),
            prefix=int(places[-1]) + 1 if len(places) else 0,
        )

    @override
    def count_tokens(self, conversation: Conversation) -> int:
        return len(self.tokenize(conversation, {}).ids)

    @override
    def image_sizes(self, conversation: Conversation) -> list[int]:
        alone = [Conversation((("user", (None, "")),), (image,)) for image in conversation.images]
        return [self._token_ids(each).count(self.image_token) for each in alone]

    def _tokenize(self, conversation: Conversation) -> tuple[int, ...]:
        return tuple(self.checkpoint.prompt_inputs([conversation])["input_ids"][0].tolist())


def _key(conversation: Conversation) -> str:
    keys = conversation.image_keys
    return keys[0] if len(keys) == 1 else hashlib.sha256(" ".join(keys).encode()).hexdigest()

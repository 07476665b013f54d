"""Families with one position axis whose features replace picture tokens; their processor says how many."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from imagescope_agent.errors import BadInput, RequestRefused
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation
from imagescope_agent.mllms.hosting.features import FeatureCache, Features, look_up
from imagescope_agent.mllms.hosting.prompt import Prepared, Prompt, chat, control_tokens, line

FAMILIES = frozenset(
    {"idefics2", "idefics3", "smolvlm", "internvl", "llava", "llava_next", "llava_onevision"}
)


class Spliced:
    """All pictures of one conversation are one entry in the cache: some processors treat them together."""

    axes = 1

    def __init__(self, checkpoint: Checkpoint, cache: FeatureCache) -> None:
        self._checkpoint = checkpoint
        self._special = control_tokens(checkpoint.tokenizer)
        self._known = lru_cache(maxsize=4096)(self._ids)
        self._see_options: frozenset[str] = frozenset()
        self.image_token = -1
        if checkpoint.sees:
            self.image_token = int(checkpoint.model.config.image_token_id)
            self._see_options = frozenset(
                inspect.signature(checkpoint.model.model.get_image_features).parameters
            )
        self.cache = cache
        self.prefills = 0

    def prepare(self, conversations: Sequence[Conversation]) -> Prepared:
        """The prompts and the features they need.

        Raises:
            RequestRefused: a picture cannot be decoded or processed.
        """
        shown = {_key(each): each for each in conversations if each.pictures}
        features, fresh = look_up(
            self.cache,
            shown,
            self._checkpoint.device,
            lambda keys: self._see([(key, shown[key]) for key in keys]),
        )
        prompts: list[Prompt | BadInput] = []
        for conversation in conversations:
            try:
                prompts.append(self._encode(conversation))
            except BadInput as error:
                prompts.append(error)
        return Prepared(prompts=prompts, features=features, fresh=fresh)

    def count(self, conversation: Conversation) -> int:
        """Tokens of the prompt, without the vision tower.

        Raises:
            RequestRefused: a picture cannot be decoded or processed, or the model takes none.
        """
        return len(self._encode(conversation).ids)

    def sizes(self, conversation: Conversation) -> list[int]:
        """How many tokens stand for each picture."""
        alone = [Conversation((("user", (None, "")),), (picture,)) for picture in conversation.pictures]
        return [self._known(each).count(self.image_token) for each in alone]

    def _encode(self, conversation: Conversation) -> Prompt:
        ids = np.asarray(self._known(conversation), dtype=np.int64)
        self._checkpoint.check_length(len(ids))
        places = np.flatnonzero(ids == self.image_token)
        return Prompt(
            ids=ids,
            positions=line(0, len(ids), 1),
            pictures=(_key(conversation),) if conversation.pictures else (),
            prefix=int(places[-1]) + 1 if len(places) else 0,
        )

    def _ids(self, conversation: Conversation) -> tuple[int, ...]:
        return tuple(self._process(conversation)["input_ids"][0].tolist())

    def _process(self, conversation: Conversation) -> Any:
        images = [picture.pixels() for picture in conversation.pictures]
        return self._checkpoint.apply_template([chat(conversation.turns, images, self._special)], [images])

    def _see(self, shown: Sequence[tuple[str, Conversation]]) -> Iterable[tuple[str, Features]]:
        device, dtype = self._checkpoint.device, self._checkpoint.dtype
        for key, conversation in shown:
            processed = self._process(conversation)
            options = {
                name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
                for name, value in processed.items()
                if name in self._see_options and isinstance(value, torch.Tensor)
            }
            made = self._checkpoint.model.model.get_image_features(**options, return_dict=True).pooler_output
            parts = [made] if isinstance(made, torch.Tensor) else list(made)
            embeds = torch.cat([part.reshape(-1, part.shape[-1]) for part in parts]).clone()
            tokens = int((processed["input_ids"] == self.image_token).sum())
            if len(embeds) != tokens:
                raise RequestRefused(f"the processor made {tokens} picture tokens for {len(embeds)} features")
            self.prefills += len(conversation.pictures)
            yield key, Features(embeds=embeds)


def _key(conversation: Conversation) -> str:
    keys = [picture.key for picture in conversation.pictures]
    return keys[0] if len(keys) == 1 else hashlib.sha256(" ".join(keys).encode()).hexdigest()

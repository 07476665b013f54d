"""Conversations as token sequences with positions: Qwen-VL formats, pictures expanded to their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation, Turn
from imagescope_agent.mllms.hosting.vision import Features


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A conversation ready for the language model.

    Attributes:
        ids: (length,) token ids.
        positions: (3, length) time, height and width positions.
        pictures: keys of the pictures in order.
        prefix: how many tokens reach up to and including the last picture and its end mark; 0 without one.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    pictures: tuple[str, ...]
    prefix: int

    @property
    def after(self) -> int:
        """Position of the next token."""
        return int(self.positions.max()) + 1


class Encoder:
    """Applies the chat template once per question, whatever number of pictures it is asked about."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = checkpoint.model.config
        self._checkpoint = checkpoint
        self._image = int(config.image_token_id)
        self._end = int(config.vision_end_token_id)
        self._merge = int(config.vision_config.spatial_merge_size)
        self._special = sorted(checkpoint.tokenizer.all_special_tokens, key=len, reverse=True)
        self._template = lru_cache(maxsize=4096)(self._apply)

    def encode(self, conversation: Conversation, features: Sequence[Features]) -> Prompt:
        """The prompt of a conversation, given the features of its pictures in order.

        Raises:
            BadInput: longer than the model's context, or the template loses a picture.
        """
        ids = self._template(conversation.turns)
        places = [index for index, each in enumerate(ids) if each == self._image]
        if len(places) != len(features):
            raise BadInput(f"the chat template shows {len(places)} of {len(features)} pictures")
        parts: list[NDArray[np.int64]] = []
        positions: list[NDArray[np.int64]] = []
        start = after = 0
        for place, each in zip(places, features, strict=True):
            parts += [np.asarray(ids[start:place]), np.full(len(each.embeds), self._image)]
            text, grid = place - start, self._grid(each)
            positions += [_line(after, text), grid + (after + text)]
            after += text + int(grid.max()) + 1
            start = place + 1
        parts.append(np.asarray(ids[start:], dtype=np.int64))
        positions.append(_line(after, len(ids) - start))
        tokens = np.concatenate(parts).astype(np.int64)
        if len(tokens) >= self._checkpoint.context:
            raise BadInput(
                f"{len(tokens)} tokens were asked, more than the model's {self._checkpoint.context}"
            )
        tail = len(ids) - start
        ended = bool(places) and start < len(ids) and ids[start] == self._end
        return Prompt(
            ids=tokens,
            positions=np.concatenate(positions, axis=1),
            pictures=tuple(picture.key for picture in conversation.pictures),
            prefix=len(tokens) - tail + ended if places else 0,
        )

    def _grid(self, features: Features) -> NDArray[np.int64]:
        time, height, width = features.grid
        shape = (time, height // self._merge, width // self._merge)
        return np.indices(shape).reshape(3, -1)

    def _apply(self, turns: tuple[Turn, ...]) -> tuple[int, ...]:
        chat = [
            {
                "role": role,
                "content": [
                    {"type": "image"} if part is None else {"type": "text", "text": self._plain(part)}
                    for part in parts
                ],
            }
            for role, parts in turns
        ]
        text = self._checkpoint.processor.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True
        )
        return tuple(self._checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _plain(self, text: str) -> str:
        """The text without the power to end a turn or to show a picture: control tokens are broken up."""
        for token in self._special:
            if token in text:
                text = text.replace(token, f"{token[:1]} {token[1:]}")
        return text


def _line(start: int, length: int) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(start, start + length), (3, length))

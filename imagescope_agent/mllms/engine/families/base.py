"""Base class of model families: conversations to token ids, positions and image features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderCache, EncoderOutput
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A tokenized conversation.

    Attributes:
        ids: (length,) token ids.
        positions: (axes, length); one axis, or time, height and width.
        image_keys: keys of the encoder outputs that replace its image tokens, in order.
        prefix: number of tokens up to the end of the last image; 0 without one.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    image_keys: tuple[str, ...]
    prefix: int

    @property
    def next_position(self) -> int:
        """Position of the token after the last."""
        return int(self.positions.max()) + 1


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """Prompts of a batch of conversations, and the features they need.

    Attributes:
        prompts: in the order of the conversations; the error where one is refused.
        features: encoder outputs by key.
        encoded: keys that were not cached and passed the vision encoder.
    """

    prompts: Sequence[Prompt | BadInput]
    features: Mapping[str, EncoderOutput]
    encoded: frozenset[str]

    def require_prompts(self) -> list[Prompt]:
        """All prompts.

        Raises:
            BadInput: one of the conversations is refused.
        """
        prompts = []
        for prompt in self.prompts:
            if isinstance(prompt, BadInput):
                raise prompt
            prompts.append(prompt)
        return prompts


class FamilyAdapter(ABC):
    """How one model family prepares prompts and images.

    Args:
        checkpoint: of that family.
        cache: of encoder outputs.
        batch_tokens: tokens of one forward of the language model, as a measure for batches of images.

    Attributes:
        axes: of the positions.
        image_token: id of the tokens that image features replace; -1 without vision.
        encoded_images: how many images have passed the vision encoder.
    """

    axes: int = 1
    image_token: int = -1

    def __init__(self, checkpoint: Checkpoint, cache: EncoderCache, *, batch_tokens: int) -> None:
        self.checkpoint = checkpoint
        self.cache = cache
        self.batch_tokens = batch_tokens
        self.encoded_images = 0

    def prepare(self, conversations: Sequence[Conversation]) -> PreparedBatch:
        """The prompts and the features they need.

        Raises:
            RequestRefused: an image cannot be decoded or processed.
        """
        inputs: dict[str, Any] = {}
        for conversation in conversations:
            inputs.update(self.encoder_inputs(conversation))
        features, encoded = self.cache.get_or_encode(inputs, self.checkpoint.device, self.encode)
        prompts: list[Prompt | BadInput] = []
        for conversation in conversations:
            try:
                prompts.append(self.tokenize(conversation, features))
            except BadInput as error:
                prompts.append(error)
        return PreparedBatch(prompts=prompts, features=features, encoded=encoded)

    @abstractmethod
    def encoder_inputs(self, conversation: Conversation) -> Mapping[str, Any]:
        """What the vision encoder needs for the conversation, by cache key."""

    @abstractmethod
    def encode(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, EncoderOutput]]:
        """Pass `encoder_inputs` through the vision encoder.

        Raises:
            RequestRefused: an image cannot be decoded or processed.
        """

    @abstractmethod
    def tokenize(self, conversation: Conversation, features: Mapping[str, EncoderOutput]) -> Prompt:
        """The prompt, with as many image tokens as there are features.

        Raises:
            BadInput: it is too long, or the chat template does not take it.
        """

    @abstractmethod
    def count_tokens(self, conversation: Conversation) -> int:
        """Length of the prompt, without running the vision encoder.

        Raises:
            RequestRefused: an image cannot be decoded or processed.
        """

    @abstractmethod
    def image_sizes(self, conversation: Conversation) -> list[int]:
        """Number of tokens of each image."""


def text_positions(start: int, length: int, axes: int) -> NDArray[np.int64]:
    """Positions of plain text: (axes, length)."""
    return np.arange(start, start + length)[None].repeat(axes, axis=0)

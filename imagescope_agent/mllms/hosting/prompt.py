"""A conversation ready for a language model, whatever family it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.conversation import Conversation, Turn
from imagescope_agent.mllms.hosting.features import FeatureCache, Features


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Tokens, positions and the pictures among them.

    Attributes:
        ids: (length,) token ids.
        positions: (axes, length); one axis, or time, height and width.
        pictures: keys of the features that fill its picture tokens, in order.
        prefix: how many tokens reach up to the end of the last picture; 0 without one.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    pictures: tuple[str, ...]
    prefix: int

    @property
    def after(self) -> int:
        """Position of the next token."""
        return int(self.positions.max()) + 1


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a batch of conversations became.

    Attributes:
        prompts: in their order; the reason where one cannot be asked.
        features: by key.
        fresh: keys that had to pass the vision tower.
    """

    prompts: Sequence[Prompt | BadInput]
    features: Mapping[str, Features]
    fresh: frozenset[str]


class Family(Protocol):
    """How one family of checkpoints turns conversations into prompts.

    Attributes:
        axes: of its positions.
        image_token: id of the tokens that features replace, -1 without pictures.
        prefills: pictures that have passed the vision tower.
        cache: features that are known.
    """

    axes: int
    image_token: int
    prefills: int
    cache: FeatureCache

    def prepare(self, conversations: Sequence[Conversation]) -> Prepared:
        """The prompts and the features they need.

        Raises:
            RequestRefused: a picture cannot be decoded or processed.
        """
        ...

    def count(self, conversation: Conversation) -> int:
        """Tokens of the prompt, without the vision tower.

        Raises:
            RequestRefused: a picture cannot be decoded or processed.
        """
        ...

    def sizes(self, conversation: Conversation) -> list[int]:
        """How many tokens stand for each picture."""
        ...


def line(start: int, length: int, axes: int) -> NDArray[np.int64]:
    """Positions of plain text: (axes, length)."""
    return np.arange(start, start + length)[None].repeat(axes, axis=0)


def chat(turns: Sequence[Turn], pictures: Sequence[Any], special: Sequence[str]) -> list[dict[str, Any]]:
    """The conversation as chat templates take it.

    Args:
        turns: who says what.
        pictures: put in the places of pictures, in order; may be empty where only the text matters.
        special: control tokens, which lose their power inside a text.
    """
    images = iter(pictures)
    made = []
    for role, parts in turns:
        content: list[dict[str, Any]] = []
        for part in parts:
            if part is not None:
                content.append({"type": "text", "text": plain(part, special)})
            else:
                image = next(images, None)
                content.append({"type": "image"} if image is None else {"type": "image", "image": image})
        made.append({"role": role, "content": content})
    return made


def transcript(chat: Sequence[dict[str, Any]]) -> str:
    """A chat as a language model without a chat template reads it; its answer begins on the last line.

    Each turn is "User:" (or "System:", "Assistant:"), its text on the next line, and an empty line.
    """
    turns = [f"{turn['role'].capitalize()}:\n{said(turn)}\n\n" for turn in chat]
    return "".join([*turns, "Assistant:\n"])


def pictures_then_text(processor: Any, chat: Sequence[dict[str, Any]], pictures: int) -> str:
    """A chat for a model with eyes and without a chat template: its pictures' places, then all its text."""
    mark = str(getattr(processor, "image_token", "<image>"))
    return mark * pictures + " ".join(
        part["text"] for turn in chat for part in turn["content"] if "text" in part
    )


def said(turn: dict[str, Any]) -> str:
    """All text of a turn."""
    return "".join(part["text"] for part in turn["content"])


def plain(text: str, special: Sequence[str]) -> str:
    """The text without the power to end a turn or to show a picture: control tokens are broken up."""
    for token in special:
        if token in text:
            text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text


def control_tokens(tokenizer: Any) -> list[str]:
    """Every control token of the tokenizer, longest first; single characters are left alone."""
    added = {str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values() if token.special}
    named = {str(token) for token in tokenizer.all_special_tokens}
    return sorted((token for token in added | named if len(token) > 1), key=len, reverse=True)

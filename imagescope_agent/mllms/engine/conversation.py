"""LangChain messages parsed for chat templates: turns of text and image placeholders, images apart."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from langchain_core.messages import BaseMessage
from PIL import Image

from imagescope_agent.errors import BadInput, ImageScopeError, RequestRefused, shorten
from imagescope_agent.mllms.request import EncodedPixels

#: Images are padded to this ratio of their sides: Qwen-VL's processors refuse narrower ones.
MAX_ASPECT_RATIO = 200

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}

#: A turn: the role and its parts, a text or None for an image.
Turn = tuple[str, tuple[str | None, ...]]


@contextmanager
def refuse_on_error(what: str, *, advice: str) -> Iterator[None]:
    """Turn whatever a library raises about a request into its refusal, except running out of memory.

    Args:
        what: what could not be done, the message's beginning.
        advice: what to do about it, the message's end.

    Raises:
        RequestRefused: the body raised something else than an error of this package.
    """
    try:
        yield
    except (ImageScopeError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {shorten(str(error), 160)}"
        raise RequestRefused(f"{what} ({why}); {advice}") from error


@dataclass(frozen=True)
class ImageInput:
    """An encoded image and the hash of its content; names given by callers are not trusted as keys."""

    key: str
    encoded: str = field(repr=False, compare=False)

    def pixels(self) -> Image.Image:
        """Decoded, RGB, padded to `MAX_ASPECT_RATIO`.

        Raises:
            RequestRefused: not an image.
        """
        held = self.encoded.pixels() if isinstance(self.encoded, EncodedPixels) else None
        if held is not None:
            return pad_to_aspect_limit(held)
        with refuse_on_error("a picture in the conversation cannot be decoded", advice="send PNG or JPEG"):
            image = Image.open(io.BytesIO(base64.b64decode(self.encoded, validate=False)))
            return pad_to_aspect_limit(image.convert("RGB"))


def pad_to_aspect_limit(image: Image.Image) -> Image.Image:
    """The RGB image, centred and padded where its sides differ by more than `MAX_ASPECT_RATIO`.

    The padding repeats its edge pixels: all of it stays visible, and no colour is added.
    """
    least = -(-max(image.size) // MAX_ASPECT_RATIO)
    if min(image.size) >= least:
        return image
    missing = [max(0, least - side) for side in (image.height, image.width)]
    around = [(each // 2, each - each // 2) for each in missing]
    return Image.fromarray(np.pad(np.asarray(image), [*around, (0, 0)], mode="edge"))


@dataclass(frozen=True)
class Conversation:
    """A parsed conversation: equal `turns` with other images are the same question about other images."""

    turns: tuple[Turn, ...]
    images: tuple[ImageInput, ...]

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Content hashes of the images, in order."""
        return tuple(image.key for image in self.images)


EMPTY = Conversation((), ())


class MessageParser:
    """Parses messages; an image that occurs many times in one batch is hashed once."""

    def __init__(self) -> None:
        self._images: dict[int, tuple[str, ImageInput]] = {}

    def parse(self, messages: Sequence[BaseMessage]) -> Conversation:
        """The conversation of the messages.

        Raises:
            BadInput: a type of message or content that a local model does not take.
        """
        turns: list[Turn] = []
        images: list[ImageInput] = []
        for message in messages:
            if message.type not in _ROLES:
                raise BadInput(
                    f"a message of type {message.type!r} cannot be shown to a local model; use human, ai or system"
                )
            parts: list[str | None] = []
            for block in _blocks(message):
                if isinstance(block, str):
                    parts.append(block)
                else:
                    parts.append(None)
                    images.append(self._image(block["data"]))
            turns.append((_ROLES[message.type], tuple(parts)))
        return Conversation(tuple(turns), tuple(images))

    def _image(self, encoded: str) -> ImageInput:
        known = self._images.get(id(encoded))
        if known is not None:
            return known[1]
        image = ImageInput(hashlib.sha256(encoded.encode("ascii", "replace")).hexdigest(), encoded)
        self._images[id(encoded)] = (encoded, image)  # holding the text keeps its id from being used again
        return image


def _blocks(message: BaseMessage) -> Iterator[str | dict[str, str]]:
    content = [message.content] if isinstance(message.content, str) else message.content
    for block in content:
        if isinstance(block, str):
            yield block
        elif block.get("type") == "text":
            yield str(block.get("text", ""))
        elif block.get("type") in ("image", "image_url"):
            yield {"data": _encoded(block)}
        else:
            raise BadInput(
                f"content of type {block.get('type')!r} cannot be shown to a local model; use text or image"
            )


def _encoded(block: dict[str, Any]) -> str:
    encoded = block.get("base64")
    if isinstance(encoded, str):
        return encoded
    if block.get("source_type") == "base64" and isinstance(block.get("data"), str):
        return str(block["data"])
    url = block.get("image_url", block.get("url"))
    url = url.get("url") if isinstance(url, dict) else url
    if isinstance(url, str) and url.startswith("data:") and ";base64," in url:
        return url.split(";base64,", 1)[1]
    raise BadInput("a local model takes pictures as base64 or data URLs; nothing is fetched for it")

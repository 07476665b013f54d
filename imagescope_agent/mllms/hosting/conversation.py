"""LangChain messages as a chat template takes them: text and places of pictures, and the pictures apart."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.messages import BaseMessage
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.refusing import refusing

#: The longer side of a picture is at most so many times the shorter one; Qwen-VL's processors refuse more.
NARROWEST = 200

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}

#: A turn: the role and its parts, a text or None for a picture.
Turn = tuple[str, tuple[str | None, ...]]


@dataclass(frozen=True)
class Picture:
    """A picture as it came, and the hash of its content: a name given to it is never trusted."""

    key: str
    encoded: str = field(repr=False, compare=False)

    def pixels(self) -> Image.Image:
        """Decoded, RGB, no narrower than processors take.

        Raises:
            RequestRefused: not an image.
        """
        with refusing("a picture in the conversation cannot be decoded", mend="send PNG or JPEG"):
            image = Image.open(io.BytesIO(base64.b64decode(self.encoded, validate=False)))
            return widened(image.convert("RGB"))


def widened(image: Image.Image) -> Image.Image:
    """The RGB picture; a strip narrower than 1 : `NARROWEST` lies in the middle of one that is as wide as that.

    Its own edges go on into what is added, so that all of it can be seen against any ground.
    """
    least = -(-max(image.size) // NARROWEST)
    if min(image.size) >= least:
        return image
    missing = [max(0, least - side) for side in (image.height, image.width)]
    around = [(each // 2, each - each // 2) for each in missing]
    return Image.fromarray(np.pad(np.asarray(image), [*around, (0, 0)], mode="edge"))


@dataclass(frozen=True)
class Conversation:
    """What is asked: equal `turns` with other pictures are the same question about other pictures."""

    turns: tuple[Turn, ...]
    pictures: tuple[Picture, ...]


class Reader:
    """Reads conversations; a picture shown many times in one batch is hashed once."""

    def __init__(self) -> None:
        self._keys: dict[int, tuple[str, Picture]] = {}

    def read(self, messages: Sequence[BaseMessage]) -> Conversation:
        """The conversation of the messages.

        Raises:
            BadInput: a kind of message or content that the model cannot be shown.
        """
        turns: list[Turn] = []
        pictures: list[Picture] = []
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
                    pictures.append(self._picture(block["data"]))
            turns.append((_ROLES[message.type], tuple(parts)))
        return Conversation(tuple(turns), tuple(pictures))

    def _picture(self, encoded: str) -> Picture:
        known = self._keys.get(id(encoded))
        if known is not None:
            return known[1]
        picture = Picture(hashlib.sha256(encoded.encode("ascii", "replace")).hexdigest(), encoded)
        self._keys[id(encoded)] = (encoded, picture)  # holding the text keeps its id from being used again
        return picture


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
    if isinstance(block.get("base64"), str):
        return str(block["base64"])
    if block.get("source_type") == "base64" and isinstance(block.get("data"), str):
        return str(block["data"])
    url = block.get("image_url", block.get("url"))
    url = url.get("url") if isinstance(url, dict) else url
    if isinstance(url, str) and url.startswith("data:") and ";base64," in url:
        return url.split(";base64,", 1)[1]
    raise BadInput("a local model takes pictures as base64 or data URLs; nothing is fetched for it")

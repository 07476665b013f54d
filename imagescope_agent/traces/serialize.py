"""Messages, updates and questions of a run as plain values of bounded size."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Overwrite

from imagescope_agent.common.versions import installed_versions

LONGEST = 20_000  # characters of one text
MOST_QUESTIONS = 20_000  # of one call
LIBRARIES = ("imagescope-agent", "langgraph", "langchain-core", "torch", "transformers", "open_clip_torch")


def read_messages(messages: Sequence[BaseMessage]) -> tuple[str, list[str]]:
    """The text of messages and the ids of their images, never the pixels."""
    texts: list[str] = []
    keys: list[str] = []
    for message in messages:
        blocks = [message.content] if isinstance(message.content, str) else message.content
        for block in blocks:
            if isinstance(block, str):
                texts.append(block)
            elif block.get("type") == "text":
                texts.append(str(block.get("text", "")))
            elif "image" in str(block.get("type", "")):
                keys.append(str(block.get("id") or "unnamed picture"))
    return "\n".join(texts), keys


def pack_questions(questions: Sequence[tuple[str, Sequence[str], Any]]) -> dict[str, Any]:
    """Questions (text, images, answer) of a call, with each text and each image stored once.

    Returns:
        {"texts", "images", "asked": [[index of the text, indices of the images, answer]]}.
    """
    texts: dict[str, int] = {}
    images: dict[str, int] = {}
    asked = [
        [
            texts.setdefault(cut(text), len(texts)),
            [images.setdefault(image, len(images)) for image in shown],
            answer,
        ]
        for text, shown, answer in questions[:MOST_QUESTIONS]
    ]
    return {"texts": list(texts), "images": list(images), "asked": asked}


def plain_update(outputs: Any) -> dict[str, Any]:
    """The keys a node changed, as plain values; other objects become the name of their type."""
    update = getattr(outputs, "update", None) if not isinstance(outputs, Mapping) else outputs
    if not isinstance(update, Mapping):
        return {}
    return {str(key): _plain(value) for key, value in update.items()}


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that affect a result."""
    return {"python": platform.python_version(), **installed_versions(LIBRARIES)}


def _plain(value: Any) -> Any:
    kind = type(value)  # asked first: in an update there are hundreds of values, nearly all of these kinds
    if kind is str or isinstance(value, str):
        return cut(value)
    if value is None or kind is float or isinstance(value, bool | int | float):
        return value
    if kind is list:
        return [_plain(each) for each in value]
    if isinstance(value, Overwrite):
        return _plain(value.value)
    if kind is dict or isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return f"({type(value).__name__})"


def cut(text: str) -> str:
    """A text of at most LONGEST characters, and how long it was."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"

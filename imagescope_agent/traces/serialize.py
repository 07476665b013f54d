"""What a run deals with, as plain values of bounded size."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Overwrite

from imagescope_agent.versions import installed_versions

LONGEST = 20_000  # characters of one text
LIBRARIES = ("imagescope-agent", "langgraph", "langchain-core", "torch", "transformers", "open_clip_torch")


def read_messages(messages: Sequence[BaseMessage]) -> tuple[str, list[str]]:
    """The text of a conversation and the keys of its pictures, never their pixels."""
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


def plain_update(outputs: Any) -> dict[str, Any]:
    """The keys a node changed, as plain values; other people's objects are told by their type."""
    update = getattr(outputs, "update", None) if not isinstance(outputs, Mapping) else outputs
    if not isinstance(update, Mapping):
        return {}
    return {str(key): _plain(value) for key, value in update.items()}


@cache
def versions() -> dict[str, str]:
    """The libraries that shape a result, and Python."""
    return {"python": platform.python_version(), **installed_versions(LIBRARIES)}


def _plain(value: Any) -> Any:
    if isinstance(value, Overwrite):
        return _plain(value.value)
    if isinstance(value, str):
        return cut(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return f"({type(value).__name__})"


def cut(text: str) -> str:
    """A text of at most LONGEST characters, and how long it was."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"

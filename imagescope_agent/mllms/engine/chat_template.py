"""Conversations in the format of chat templates, and as plain text for checkpoints without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imagescope_agent.mllms.engine.conversation import Turn


def to_chat(turns: Sequence[Turn], images: Sequence[Any], special: Sequence[str]) -> list[dict[str, Any]]:
    """The conversation as `apply_chat_template` takes it.

    Args:
        turns: role and content parts.
        images: fill the image parts, in order; may be empty where only the text matters.
        special: control tokens, which are escaped inside texts.
    """
    remaining = iter(images)
    chat = []
    for role, parts in turns:
        content: list[dict[str, Any]] = []
        for part in parts:
            if part is not None:
                content.append({"type": "text", "text": escape_control_tokens(part, special)})
            else:
                image = next(remaining, None)
                content.append({"type": "image"} if image is None else {"type": "image", "image": image})
        chat.append({"role": role, "content": content})
    return chat


def transcript(chat: Sequence[dict[str, Any]]) -> str:
    """A chat as plain text, for a language model without a chat template.

    Each turn is "User:" (or "System:", "Assistant:"), its text on the next line, and an empty line; the last line
    begins the answer.
    """
    turns = [f"{turn['role'].capitalize()}:\n{turn_text(turn)}\n\n" for turn in chat]
    return "".join([*turns, "Assistant:\n"])


def images_then_text(processor: Any, chat: Sequence[dict[str, Any]], images: int) -> str:
    """A chat as plain text, for a vision-language model without a chat template: image tokens, then all text."""
    token = str(getattr(processor, "image_token", "<image>"))
    return token * images + " ".join(
        part["text"] for turn in chat for part in turn["content"] if "text" in part
    )


def turn_text(turn: dict[str, Any]) -> str:
    """All text of a turn."""
    return "".join(part["text"] for part in turn["content"])


def escape_control_tokens(text: str, special: Sequence[str]) -> str:
    """The text with control tokens broken up, so that it can neither end a turn nor insert an image."""
    for token in special:
        if token in text:
            text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text


def control_tokens(tokenizer: Any) -> list[str]:
    """Every control token of the tokenizer, longest first; single characters are left out."""
    added = {str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values() if token.special}
    named = {str(token) for token in tokenizer.all_special_tokens}
    return sorted((token for token in added | named if len(token) > 1), key=len, reverse=True)

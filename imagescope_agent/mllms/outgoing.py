"""Messages as OpenAI-compatible servers take them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from imagescope_agent.errors import BadInput

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}

# Which tokens a server's tokenizer obeys is not known here, so whatever looks like one of a known family is broken up:
# <|im_end|>, <|eot_id|>, <｜User｜>, <start_of_turn>, <image_soft_token>, <__media__>, </s>, [INST], <<SYS>>
_CONTROL = re.compile(
    r"<(?=[|｜][^<>]{0,80}[|｜]>)"
    r"|<(?=/?[A-Za-z0-9]*_[A-Za-z0-9_]*>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|sep|cls|mask|image|img|video|audio|think|eod|global-img)>)"
    r"|<(?=</?SYS>>)"
    r"|\[(?=(?-i:/?[A-Z]{3,}(?:_[A-Z]+)*\]))",
    re.IGNORECASE,
)


def wire_messages(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as servers take them: pictures as data URLs in the order they stand, text alone as a string.

    Control tokens inside a text lose their power, as they do in a model that is hosted here.

    Raises:
        BadInput: a kind of message or content that servers do not take.
    """
    made = []
    for message in messages:
        if message.type not in _ROLES:
            raise BadInput(
                f"a message of type {message.type!r} cannot be sent to a server; use human, ai or system"
            )
        content = message.content
        parts = [_part(part) for part in ([content] if isinstance(content, str) else content)]
        text_alone = len(parts) == 1 and parts[0]["type"] == "text"
        made.append({"role": _ROLES[message.type], "content": parts[0]["text"] if text_alone else parts})
    return made


def pictures_in(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many pictures messages of `wire_messages` hold."""
    parts = [part for each in messages if isinstance(each["content"], list) for part in each["content"]]
    return sum(part["type"] == "image_url" for part in parts)


def plain(text: str) -> str:
    """The text without the power to end a turn or to show a picture: control tokens are broken up by a space.

    What no UTF-8 can hold becomes "?".
    """
    return _CONTROL.sub(r"\g<0> ", text).encode("utf-8", "replace").decode("utf-8")


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": plain(part)}
    if part.get("type") == "image" and "base64" in part:
        url = f"data:{part.get('mime_type', 'image/png')};base64,{part['base64']}"
        return {"type": "image_url", "image_url": {"url": url}}
    if part.get("type") == "text":
        return {"type": "text", "text": plain(str(part.get("text", "")))}
    if part.get("type") == "image_url":
        return dict(part)
    raise BadInput(f"content of type {part.get('type')!r} cannot be sent to a server; use text or image")

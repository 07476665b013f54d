"""Requests to a role, and its replies."""

from __future__ import annotations

import base64
import weakref
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from PIL import Image

from imagescope_agent.common.redact import hide_known
from imagescope_agent.errors import ImageScopeError, RequestFailed, RequestRefused, UnreadableReply
from imagescope_agent.mllms.output_validation import sound_notes
from imagescope_agent.mllms.protocols import Choice
from imagescope_agent.replies.reader import count, metadata, said

#: Beginning of the problem of a reply that was truncated.
CUT_OFF = "the reply was cut off at max_tokens"


class EncodedPixels(str):
    """A picture in base64 that may be at hand decoded as well: then a model in this process need not decode it.

    Attributes:
        pixels: as of `ImageRef`.
    """

    pixels: weakref.ref[Image.Image]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


@dataclass(frozen=True)
class ImageRef:
    """An encoded image for a model.

    Attributes:
        key: hash of the content.
        data: PNG or JPEG bytes, safe and bounded in size.
        pixels: what `data` shows, RGB, exactly as decoding would give it, as long as somebody else holds it.
    """

    key: str
    data: bytes = field(repr=False)
    pixels: weakref.ref[Image.Image] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def base64(self) -> str:
        """The bytes in base64, encoded once for all questions about the image."""
        encoded = base64.b64encode(self.data).decode("ascii")
        if self.pixels is not None:
            encoded = EncodedPixels(encoded)
            encoded.pixels = self.pixels
        return encoded

    def __reduce__(self) -> tuple[type[ImageRef], tuple[str, bytes]]:
        return ImageRef, (self.key, self.data)

    def block(self) -> dict[str, Any]:
        """As a LangChain content block."""
        png = self.data.startswith(b"\x89PNG")
        mime = "image/png" if png else "image/jpeg"
        return {"type": "image", "base64": self.base64, "mime_type": mime, "id": self.key}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question: images first, so that questions about the same images share a prefix.

    Attributes:
        text: the question.
        images: that it is about.
        labels: text before each image, to tell several apart; none otherwise.
        after: text after each image; none in most questions.
        before: turns before this one, each with an empty answer; none in most questions.
    """

    text: str
    images: tuple[ImageRef, ...] = ()
    labels: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[Request, ...] = ()

    def messages(self) -> list[BaseMessage]:
        """As a LangChain conversation of one message, after those of the turns before."""
        blocks: list[str | dict[str, Any]] = []
        nothing = ("",) * len(self.images)
        for label, image, after in zip(
            self.labels or nothing, self.images, self.after or nothing, strict=True
        ):
            blocks += [{"type": "text", "text": label}] if label else []
            blocks.append(image.block())
            blocks += [{"type": "text", "text": after}] if after else []
        earlier = [message for turn in self.before for message in (*turn.messages(), AIMessage(content=""))]
        return [*earlier, HumanMessage(content=[*blocks, {"type": "text", "text": self.text}])]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A model's reply.

    Attributes:
        text: the answer without reasoning blocks, stripped.
        usage: calls, prompt_tokens, completion_tokens, image_prefills, seconds (an equal share of the batch); a
            refused request counts no call.
        notes: fallbacks.
        problem: why there is no answer; the text is empty then.
        cut: message about its truncation; empty when the model ended it.
    """

    text: str
    usage: dict[str, Any]
    notes: list[dict[str, str]] = field(default_factory=list)
    problem: RequestRefused | UnreadableReply | None = None
    cut: str = ""

    def unusable(self, problem: str, prompt: str = "") -> UnreadableReply:
        """The error of a reply that cannot be used, with its usage and, if so, its truncation.

        Args:
            problem: what is wrong with it.
            prompt: of the request.
        """
        whole = f"{self.cut} ({problem})" if self.cut else problem
        return UnreadableReply(whole, prompt=prompt, reply=self.text, usage=self.usage)


def answered(replies: list[Reply]) -> list[Reply]:
    """The replies, unless all of them failed.

    Raises:
        RequestRefused, UnreadableReply: all failed.
    """
    problems: list[ImageScopeError] = [reply.problem for reply in replies if reply.problem is not None]
    if replies and len(problems) == len(replies):
        raise next((each for each in problems if isinstance(each, RequestRefused)), problems[0])
    return replies


def chosen(choice: Choice) -> Choice:
    """The choice, if one of its rows is an answer.

    Raises:
        RequestRefused: there are some, and every one was refused.
    """
    if choice.probabilities and len(choice.refused) == len(choice.probabilities):
        raise (RequestFailed if 0 in choice.failed else RequestRefused)(choice.refused[0])
    return choice


def read_reply(message: object, request: Request, limit: object) -> Reply:
    """Parse a chat model's message.

    Args:
        message: that the model returned.
        request: that it answers.
        limit: max_tokens of the reply, for messages.
    """
    found, about = said(message), metadata(message)
    usage = {
        "calls": 1,
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
        "image_prefills": count(about.get("image_prefills")),
        "seconds": 0.0,
    }
    allowed = f" ({limit})" if limit else ""
    cut = f"{CUT_OFF}{allowed}; raise it for the model in the profile" if found.cut else ""
    reply = Reply(text=hide_known(found.text), usage=usage, notes=sound_notes(about.get("notes")), cut=cut)
    if found.kept_back:
        return replace(reply, problem=RequestRefused(found.problem), usage={**usage, "calls": 0})
    if found.problem or (cut and not found.text):
        return replace(reply, problem=reply.unusable(found.problem or "there is no answer", request.text))
    return reply

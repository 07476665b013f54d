"""What a role asks, and what it is answered."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from imagescope_agent.errors import ImageScopeError, RequestRefused, UnreadableReply
from imagescope_agent.mllms.protocols import Choice
from imagescope_agent.mllms.soundness import sound_notes
from imagescope_agent.reader import count, metadata, said
from imagescope_agent.redact import hide_known

#: How the problem of a reply begins that the limit of its length ended.
CUT_OFF = "the reply was cut off at max_tokens"


@dataclass(frozen=True)
class ImageRef:
    """A picture as a model is shown it.

    Attributes:
        key: hash of the content.
        data: PNG or JPEG bytes, safe and bounded in size.
    """

    key: str
    data: bytes = field(repr=False)

    @cached_property
    def base64(self) -> str:
        """The bytes as text, made once however many questions are asked about the picture."""
        return base64.b64encode(self.data).decode("ascii")

    def block(self) -> dict[str, Any]:
        """The picture as a LangChain content block."""
        png = self.data.startswith(b"\x89PNG")
        mime = "image/png" if png else "image/jpeg"
        return {"type": "image", "base64": self.base64, "mime_type": mime, "id": self.key}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question: the picture(s) first, so that questions about the same ones share their prefix.

    Attributes:
        text: the question.
        images: what it is about.
        labels: what stands before each picture where there are several to be told apart; none otherwise.
        after: what stands after each picture; nothing in most questions.
    """

    text: str
    images: tuple[ImageRef, ...] = ()
    labels: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def messages(self) -> list[BaseMessage]:
        """The request as a LangChain conversation of one turn."""
        blocks: list[str | dict[str, Any]] = []
        nothing = ("",) * len(self.images)
        for label, image, after in zip(
            self.labels or nothing, self.images, self.after or nothing, strict=True
        ):
            blocks += [{"type": "text", "text": label}] if label else []
            blocks.append(image.block())
            blocks += [{"type": "text", "text": after}] if after else []
        return [HumanMessage(content=[*blocks, {"type": "text", "text": self.text}])]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A model's answer.

    Attributes:
        text: the answer without thoughts, stripped of white space around it.
        usage: calls, prompt_tokens, completion_tokens, image_prefills, seconds (the batch's, shared equally); a
            request that was refused is no call.
        notes: what was degraded on the way.
        problem: why there is no answer; the text is empty then.
        cut: how it was cut off, in words for a message; empty when the model itself ended it.
    """

    text: str
    usage: dict[str, Any]
    notes: list[dict[str, str]] = field(default_factory=list)
    problem: RequestRefused | UnreadableReply | None = None
    cut: str = ""

    def unusable(self, problem: str, prompt: str = "") -> UnreadableReply:
        """The error of a reply that cannot be used, with what it cost and, if so, that it was cut off.

        Args:
            problem: what is wrong with it.
            prompt: what it answers.
        """
        whole = f"{self.cut} ({problem})" if self.cut else problem
        return UnreadableReply(whole, prompt=prompt, reply=self.text, usage=self.usage)


def answered(replies: list[Reply]) -> list[Reply]:
    """The replies, if one of them is an answer.

    Raises:
        RequestRefused, UnreadableReply: there are some, and none is.
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
        raise RequestRefused(choice.refused[0])
    return choice


def read_reply(message: object, request: Request, limit: object) -> Reply:
    """The reply in a chat model's message.

    Args:
        message: what the model returned.
        request: what it was asked.
        limit: the most tokens that it might write, for messages.
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

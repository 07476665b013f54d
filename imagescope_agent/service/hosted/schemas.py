"""Requests to a hosted model, as they come over the wire, and what is taken of them."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field

from imagescope_agent.errors import BadInput, RequestRefused
from imagescope_agent.service.pictures import data_of, is_data_uri

MOST_PIXELS = 4096 * 4096
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_KINDS: dict[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}

Text = Annotated[str, Field(max_length=200_000)]


class TextPart(BaseModel):
    """Words."""

    type: Literal["text"]
    text: Text


class ImageAddress(BaseModel):
    """Where a picture is: in the address itself."""

    url: str


class ImagePart(BaseModel):
    """A picture as a data URI."""

    type: Literal["image_url"]
    image_url: ImageAddress


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text | Annotated[list[TextPart | ImagePart], Field(max_length=256)]

    def as_langchain(self) -> BaseMessage:
        """The same for a LangChain chat model.

        Raises:
            RequestRefused: a picture cannot be used; nothing is fetched for a request.
        """
        if isinstance(self.content, str):
            return _KINDS[self.role](content=self.content)
        blocks: list[str | dict[str, Any]] = [
            {"type": "text", "text": part.text} if isinstance(part, TextPart) else _picture(part)
            for part in self.content
        ]
        return _KINDS[self.role](content=blocks)


class Completion(BaseModel):
    """A chat completion; what is not listed here is ignored."""

    model: str = ""
    messages: Annotated[list[Message], Field(min_length=1, max_length=64)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: float | None = None
    n: int | None = None
    stream: bool | None = None
    stop: Text | Annotated[list[Text], Field(max_length=16)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None

    def require_possible(self) -> None:
        """Refuse what this server would otherwise do differently than it was asked.

        Raises:
            RequestRefused: sampling, several replies, or a stream.
        """
        if self.temperature:
            raise RequestRefused("temperature: replies are decoded greedily here; leave it out, or send 0")
        if self.n not in (None, 1):
            raise RequestRefused("n: one reply is given here; leave it out")
        if self.stream:
            raise RequestRefused("stream: replies come whole here; leave it out")

    @property
    def stops(self) -> list[str]:
        """The texts that end a reply."""
        return [self.stop] if isinstance(self.stop, str) else [*(self.stop or ())]


class ChoicesRequest(BaseModel):
    """Many questions that begin alike, and the answers whose probabilities are asked for."""

    model: str = ""
    messages: Annotated[
        list[Message],
        Field(
            max_length=64,
            description="what all questions begin with; each question is one more text at the end of the last message",
        ),
    ] = []
    questions: Annotated[list[Text], Field(min_length=1, max_length=256)]
    choices: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=2, max_length=64)
    ]

    def conversations(self) -> list[list[BaseMessage]]:
        """One for each question.

        Raises:
            RequestRefused: a picture cannot be used, or the last message is not the user's.
        """
        shared = [message.as_langchain() for message in self.messages]
        if shared and shared[-1].type != "human":
            raise RequestRefused("messages: the last one must be the user's; the questions end it")
        before, last = shared[:-1], shared[-1].content if shared else []
        blocks = [last] if isinstance(last, str) else list(last)
        return [
            [*before, HumanMessage(content=[*blocks, {"type": "text", "text": question}])]
            for question in self.questions
        ]


def _picture(part: ImagePart) -> dict[str, Any]:
    """The picture as a content block, of which only the size was read.

    Raises:
        RequestRefused: it is no data URI of a picture of a usual kind and size.
    """
    url = part.image_url.url
    if not is_data_uri(url):
        raise RequestRefused(
            "pictures are data URIs here (data:image/png;base64,...); addresses are not fetched"
        )
    try:
        data = data_of(url)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
    except BadInput as error:
        raise RequestRefused(str(error)) from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise RequestRefused("a picture cannot be read; send PNG, JPEG, WebP or GIF") from error
    if width * height > MOST_PIXELS:
        raise RequestRefused(f"a picture has {width} x {height} pixels; send at most {MOST_PIXELS}")
    return {"type": "image", "base64": url.partition(",")[2], "mime_type": "image/png"}

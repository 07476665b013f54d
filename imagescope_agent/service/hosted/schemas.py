"""Requests to a hosted model, as they come over the wire, and what is taken of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field

from imagescope_agent.errors import BadInput, RequestRefused
from imagescope_agent.service.pictures import data_of, is_data_uri

MOST_PIXELS = 4096 * 4096
MOST_PIXELS_IN_ALL = 4 * MOST_PIXELS  # of one request, which decodes all its pictures
MOST_PICTURES = 64
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_KINDS: dict[str, type[BaseMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
}
#: Options that change no greedy reply: they choose among samples, or say whose the request is.
_WITHOUT_EFFECT = frozenset(
    {
        "top_p",
        "top_k",
        "min_p",
        "typical_p",
        "seed",
        "user",
        "store",
        "metadata",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "stream_options",
        "parallel_tool_calls",
        "reasoning_effort",
        "verbosity",
    }
)
#: Values of other options that ask for nothing, beside those that are false.
_NOTHING: dict[str, tuple[Any, ...]] = {
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "best_of": (1,),
    "modalities": (["text"],),
    "skip_special_tokens": (True,),
    "add_generation_prompt": (True,),
}

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

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart | ImagePart], Field(max_length=256)]

    def as_langchain(self) -> BaseMessage:
        """The same for a LangChain chat model."""
        if isinstance(self.content, str):
            return _KINDS[self.role](content=self.content)
        blocks: list[str | dict[str, Any]] = [
            {"type": "text", "text": part.text} if isinstance(part, TextPart) else _picture(part)
            for part in self.content
        ]
        return _KINDS[self.role](content=blocks)


class Completion(BaseModel):
    """A chat completion; see `require_possible` for what is not listed here."""

    model_config = ConfigDict(extra="allow")

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
            RequestRefused: sampling, several replies, a stream, or any other option that could change the reply
                (tools, functions, penalties, biases, what is unknown) with a value that asks for something.
        """
        if self.temperature:
            raise RequestRefused("temperature: replies are decoded greedily here; leave it out, or send 0")
        if self.n not in (None, 1):
            raise RequestRefused("n: one reply is given here; leave it out")
        if self.stream:
            raise RequestRefused("stream: replies come whole here; leave it out")
        for name, value in (self.model_extra or {}).items():
            if value and name not in _WITHOUT_EFFECT and value not in _NOTHING.get(name, ()):
                raise RequestRefused(f"{name[:80]}: this server does not do that; leave it out")

    @property
    def held_to(self) -> dict[str, Any] | None:
        """The format that the reply is held to; None for free text."""
        match (self.response_format or {}).get("type"):
            case None | "text":
                return None
            case "json_object":
                return {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
        return self.response_format

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
        shared = conversation(self.messages)
        if shared and shared[-1].type != "human":
            raise RequestRefused("messages: the last one must be the user's; the questions end it")
        before, last = shared[:-1], shared[-1].content if shared else []
        blocks = [last] if isinstance(last, str) else list(last)
        return [
            [*before, HumanMessage(content=[*blocks, {"type": "text", "text": question}])]
            for question in self.questions
        ]


def conversation(messages: Sequence[Message]) -> list[BaseMessage]:
    """Messages for a LangChain chat model; of the pictures only the sizes were read.

    Raises:
        RequestRefused: a picture cannot be used, or they are too many or too large together; nothing is fetched for
            a request.
    """
    parts = [part for each in messages if not isinstance(each.content, str) for part in each.content]
    shown = [part for part in parts if isinstance(part, ImagePart)]
    if len(shown) > MOST_PICTURES:
        raise RequestRefused(f"there are {len(shown)} pictures; send at most {MOST_PICTURES} in a request")
    if (pixels := sum(map(_pixels, shown))) > MOST_PIXELS_IN_ALL:
        raise RequestRefused(
            f"the pictures have {pixels} pixels; send at most {MOST_PIXELS_IN_ALL} in a request"
        )
    return [each.as_langchain() for each in messages]


def _pixels(part: ImagePart) -> int:
    """How many pixels a picture has.

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
    return int(width * height)


def _picture(part: ImagePart) -> dict[str, Any]:
    """The picture as a content block."""
    return {"type": "image", "base64": part.image_url.url.partition(",")[2], "mime_type": "image/png"}

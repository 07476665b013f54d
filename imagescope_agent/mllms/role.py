"""A chat model in a role: the one way nodes ask anything. Any LangChain chat model serves."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables.config import (
    RunnableConfig,
    ensure_config,
    get_async_callback_manager_for_config,
)
from pydantic import BaseModel

from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.mllms.protocols import (
    Attention,
    AttentionReader,
    Choice,
    ChoiceScorer,
    Embedding,
    MessageEmbedder,
    SchemaWriter,
    UnusableLabels,
)
from imagescope_agent.mllms.usage import total_usage
from imagescope_agent.redact import hide_known

__all__ = ["CALLER", "SCORED", "Choice", "ImageRef", "Reply", "Request", "Role"]

#: LangChain custom event of answers read from probabilities: {"role", "texts", "images": [[key]], "choices",
#: "probabilities", "usage"}; such answers pass no chat model callback.
SCORED = "imagescope.scored"

#: Which batch of requests the current task belongs to; a model that queues requests is fair between callers.
CALLER: ContextVar[object | None] = ContextVar("imagescope_caller", default=None)


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
        text: the answer, stripped of white space around it.
        usage: calls, prompt_tokens, completion_tokens, image_prefills, seconds (the batch's, shared equally).
        notes: what was degraded on the way.
    """

    text: str
    usage: dict[str, Any]
    notes: list[dict[str, str]] = field(default_factory=list)


class Role:
    """A chat model under the name of what it is asked to be: captioner, reasoner, talker, verifier, judge."""

    def __init__(self, name: str, model: BaseChatModel) -> None:
        self.name = name
        self.model = model

    def __repr__(self) -> str:
        return f"Role({self.name!r}, {type(self.model).__name__})"

    async def ask(
        self,
        requests: Sequence[Request],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """The answers, in the order of the requests, all asked at once.

        Args:
            requests: what to ask.
            schema: the answer is JSON of this model where the chat model can be held to it; else a note.
            max_tokens: longest answer.

        Raises:
            BackendUnavailable: the model does not answer.
        """
        if not requests:
            return []
        options: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
        constrained: dict[str, Any] = {}
        if schema is not None and isinstance(self.model, SchemaWriter):
            constrained = self.model.schema_kwargs(schema)
        start = time.perf_counter()
        with _one_caller():
            answers = await asyncio.gather(
                *(
                    self.model.ainvoke(request.messages(), self._named(request), **options, **constrained)
                    for request in requests
                )
            )
        share = (time.perf_counter() - start) / len(requests)
        replies = [_reply(answer, share) for answer in answers]
        if schema is not None and not constrained:
            replies[0].notes.append(self._note("fallback", "the model cannot be held to a JSON schema"))
        return replies

    async def choose(
        self, requests: Sequence[Request], choices: Sequence[str], *, max_tokens: int | None = None
    ) -> Choice:
        """How probable each of `choices` is as the answer to each request.

        A model that gives no probabilities (or not for these choices) is asked for text, of at most `max_tokens`:
        1 for the choice that the answer begins with, an even row with a note when it begins with none.

        Raises:
            BackendUnavailable: the model does not answer.
        """
        if not requests:
            return Choice(probabilities=[], usage=total_usage([]))
        reason = "the model gives no label probabilities"
        if isinstance(self.model, ChoiceScorer):
            try:
                with _one_caller():
                    return await self._scored(self.model, requests, choices)
            except UnusableLabels as error:
                reason = str(error)
        note = self._note("fallback", f"{reason}; answers are read as text")
        return await self._read(requests, choices, [note], max_tokens)

    async def ask_some(
        self,
        requests: Sequence[Request],
        groups: Sequence[int],
        *,
        schema: type[BaseModel] | None = None,
    ) -> list[Reply]:
        """The answers to the first requests; to all of them, unless the role is on a budget (`Bounded`).

        Args:
            requests: what to ask.
            groups: sizes of consecutive groups of requests, each of which is asked whole or not at all.
            schema: as in `ask`.
        """
        return await self.ask(requests, schema=schema)

    async def choose_some(
        self, requests: Sequence[Request], choices: Sequence[str], groups: Sequence[int]
    ) -> Choice:
        """Probabilities for the first requests; for all of them, unless the role is on a budget (`Bounded`)."""
        return await self.choose(requests, choices)

    async def affords(self, request: Request, calls: int) -> bool:
        """Whether so many requests like this one may be asked: always, unless the role is on a budget."""
        return True

    async def attend(self, requests: Sequence[Request]) -> list[Attention]:
        """Where the model's attention goes in each request.

        Raises:
            BadInput: the model does not show it.
        """
        if not isinstance(self.model, AttentionReader):
            raise BadInput(f"{type(self.model).__name__} does not show its attention; choose another model")
        return [await self.model.aattention(request.messages()) for request in requests]

    async def embed(self, requests: Sequence[Request]) -> Embedding:
        """Each request as a vector.

        Raises:
            BadInput: the model embeds nothing.
        """
        if not isinstance(self.model, MessageEmbedder):
            raise BadInput(f"{type(self.model).__name__} embeds nothing; choose another model")
        return await self.model.aembed([request.messages() for request in requests])

    async def _scored(
        self, model: ChoiceScorer, requests: Sequence[Request], choices: Sequence[str]
    ) -> Choice:
        choice = await model.ascore([request.messages() for request in requests], choices)
        await self._tell(requests, choices, choice)
        notes = [{**note, "step": self.name} for note in choice.notes]
        return Choice(probabilities=choice.probabilities, usage=choice.usage, notes=notes)

    def _named(self, request: Request) -> RunnableConfig:
        """Who asks about which pictures, for whoever listens: callbacks are not shown a picture's key."""
        return {"metadata": {"role": self.name, "images": [image.key for image in request.images]}}

    async def _tell(self, requests: Sequence[Request], choices: Sequence[str], choice: Choice) -> None:
        """Tell whoever listens to the running graph; nothing is done where nobody does."""
        manager = get_async_callback_manager_for_config(ensure_config())
        if manager.parent_run_id is None or not manager.handlers:
            return
        scored = {
            "role": self.name,
            "texts": [request.text for request in requests],
            "images": [[image.key for image in request.images] for request in requests],
            "choices": list(choices),
            "probabilities": choice.probabilities,
            "usage": choice.usage,
        }
        await manager.on_custom_event(SCORED, scored, run_id=manager.parent_run_id)

    async def _read(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        notes: list[dict[str, str]],
        max_tokens: int | None,
    ) -> Choice:
        replies = await self.ask(requests, max_tokens=max_tokens)
        rows: list[list[float]] = []
        for reply in replies:
            notes += reply.notes
            index = first_choice(reply.text, choices)
            if index is None:
                notes.append(
                    self._note("unreadable", f"not one of {list(choices)!r}: {shorten(reply.text)!r}")
                )
                rows.append([1 / len(choices)] * len(choices))
            else:
                rows.append([float(index == column) for column in range(len(choices))])
        return Choice(probabilities=rows, usage=total_usage([reply.usage for reply in replies]), notes=notes)

    def _note(self, kind: str, detail: str) -> dict[str, str]:
        return {"step": self.name, "kind": kind, "detail": detail}


def first_choice(text: str, choices: Sequence[str]) -> int | None:
    """The choice that `text` begins with as a whole word, in any case; the longest such, None if none."""
    start = text.strip().lstrip("*\"'([").casefold()
    found = None
    for index, choice in enumerate(choices):
        word = choice.strip().casefold()
        rest = start[len(word) :]
        longer = found is None or len(word) > len(choices[found].strip())
        if longer and start.startswith(word) and not rest[:1].isalnum():
            found = index
    return found


def _reply(message: AIMessage, seconds: float) -> Reply:
    tokens: Mapping[str, Any] = message.usage_metadata or {}
    extra = message.response_metadata
    usage = {
        "calls": 1,
        "prompt_tokens": tokens.get("input_tokens", 0),
        "completion_tokens": tokens.get("output_tokens", 0),
        "image_prefills": extra.get("image_prefills", 0),
        "seconds": seconds,
    }
    return Reply(text=hide_known(str(message.text).strip()), usage=usage, notes=list(extra.get("notes", ())))


@contextmanager
def _one_caller() -> Iterator[None]:
    token = CALLER.set(object())
    try:
        yield
    finally:
        CALLER.reset(token)

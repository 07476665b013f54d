"""A chat model that follows a script and remembers what it was asked: the only thing tests fake."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SkipValidation

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.protocols import Choice


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question as the model saw it.

    Attributes:
        text: all text of the conversation, a line per message, without what only labels a picture.
        images: keys of its pictures, in order.
        labels: what stands before each picture; none where no picture has a label.
        choices: the answers offered, None when it was to write one.
        options: what else was passed (max_tokens, response_format, ...).
    """

    text: str
    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    choices: tuple[str, ...] | None = None
    options: dict[str, Any] | None = None


Answer = str | AIMessage | BaseException
Reply = Callable[[Asked], Answer]
Scorer = Callable[[Asked], Sequence[float]]


class Scripted(BaseChatModel):
    """Answers from a function of what it is asked, or from a queue of replies; a word is a token.

    Args:
        reply: a function of `Asked`, or the replies in order. A reply may be an exception to raise, or a whole
            message, which is passed on as it is.
        schema: whether it claims to follow a JSON schema (the replies are not checked).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reply: SkipValidation[Reply | list[Answer] | str] = ""
    schema_writer: bool = Field(default=True, alias="schema")
    _asked: list[Asked] = PrivateAttr(default_factory=list)
    _queue: deque[Answer] = PrivateAttr(default_factory=deque)

    def __init__(self, reply: Reply | Iterable[Answer] | str = "", **kwargs: Any) -> None:
        if not callable(reply) and not isinstance(reply, str):
            reply = list(reply)
        super().__init__(**{"reply": reply, **kwargs})
        if isinstance(self.reply, list):
            self._queue.extend(self.reply)

    @property
    def asked(self) -> list[Asked]:
        """Every question so far, in order."""
        return self._asked

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """The schema by name, so that a script can tell the steps apart."""
        return {"response_format": schema.__name__} if self.schema_writer else {}

    async def acount(self, messages: list[list[BaseMessage]]) -> list[int]:
        """The words of each conversation."""
        return [len(read_asked(each).text.split()) for each in messages]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = read_asked(messages, options=kwargs)
        self._asked.append(asked)
        answer = self._next(asked)
        if isinstance(answer, AIMessage):
            return ChatResult(generations=[ChatGeneration(message=answer)])
        text = _cut(answer, kwargs.get("max_tokens"))
        usage = {"input_tokens": len(asked.text.split()), "output_tokens": len(text.split())}
        message = AIMessage(
            content=text,
            usage_metadata={**usage, "total_tokens": sum(usage.values())},
            response_metadata={"image_prefills": len(asked.images)},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)  # no thread: scripts stay in the order they are asked

    def answer(self, asked: Asked) -> str:
        """What the script says to a question, which is not remembered."""
        answer = self._next(asked)
        return answer if isinstance(answer, str) else str(answer.text)

    def _next(self, asked: Asked) -> str | AIMessage:
        if callable(self.reply):
            answer = self.reply(asked)
        elif isinstance(self.reply, str):
            answer = self.reply
        elif self._queue:
            answer = self._queue.popleft()
        else:
            raise AssertionError(
                f"the script ran out of replies at question {len(self._asked)}: {asked.text!r}"
            )
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ScriptedScorer(Scripted):
    """A scripted model that also gives probabilities.

    Args:
        scorer: a function of `Asked` that gives one weight a choice; rows are normalised. A question for which it
            raises `RequestRefused` is refused.
    """

    scorer: Scorer

    def __init__(self, scorer: Scorer, reply: Reply | Iterable[Answer] | str = "", **kwargs: Any) -> None:
        super().__init__(reply, scorer=scorer, **kwargs)

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """The scorer's weights as probabilities."""
        rows: list[list[float]] = []
        refused: dict[int, str] = {}
        questions = [read_asked(each, choices=tuple(choices)) for each in messages]
        for asked in questions:
            self._asked.append(asked)
            try:
                weights = [float(weight) for weight in self.scorer(asked)]
            except RequestRefused as error:
                refused[len(rows)] = str(error)
                weights = [1.0] * len(choices)
            rows.append([weight / sum(weights) for weight in weights])
        usage = {
            "calls": len(messages),
            "prompt_tokens": sum(len(asked.text.split()) for asked in questions),
            "completion_tokens": 0,
            "image_prefills": len({key for asked in questions for key in asked.images}),
            "seconds": 0.0,
        }
        return Choice(probabilities=rows, usage=usage, refused=refused)


def _cut(text: str, words: int | None) -> str:
    """The text up to so many words."""
    if words is None or len(text.split()) <= words:
        return text
    return "".join(re.findall(r"\s*\S+", text)[:words])


def read_asked(
    messages: Sequence[BaseMessage],
    *,
    choices: tuple[str, ...] | None = None,
    options: dict[str, Any] | None = None,
) -> Asked:
    """The text and the picture keys of a conversation."""
    texts: list[str] = []
    images: list[str] = []
    labels: list[str] = []
    for message in messages:
        blocks = [message.content] if isinstance(message.content, str) else message.content
        said: list[str] = []
        for block in blocks:
            if isinstance(block, str):
                said.append(block)
            elif block.get("type") == "text":
                said.append(block["text"])
            elif block.get("type") == "image":
                images.append(str(block.get("id", "")))
                labels += said
                said = []
        texts += said
    return Asked(
        text="\n".join(texts),
        images=tuple(images),
        labels=tuple(labels),
        choices=choices,
        options=options or None,
    )

"""Any OpenAI-compatible server (vLLM, SGLang, llama.cpp, hosted ones), with label probabilities and schemas."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, model_validator

from imagescope_agent.errors import BackendUnavailable, RequestFailed, RequestRefused, UnreadableReply
from imagescope_agent.mllms.liveness import answer_of
from imagescope_agent.mllms.openai.address import Address, split_login
from imagescope_agent.mllms.openai.connection import Server
from imagescope_agent.mllms.openai.dialect import TOP_LOGPROBS, Dialect, Question
from imagescope_agent.mllms.openai.messages import pictures_in, wire_messages
from imagescope_agent.mllms.openai.negotiation import Negotiator
from imagescope_agent.mllms.openai.probing import Powers, name_of, probe
from imagescope_agent.mllms.openai.responses import (
    first_token_probabilities,
    first_token_weights,
    token_counts,
    written,
)
from imagescope_agent.mllms.openai.truncation import Reading
from imagescope_agent.mllms.protocols import Choice, UnusableLabels
from imagescope_agent.mllms.schema import json_schema
from imagescope_agent.records import NoteKind, note

URL_VARIABLE = "IMAGESCOPE_ENDPOINT"
KEY_VARIABLE = "IMAGESCOPE_ENDPOINT_KEY"
MODEL_VARIABLE = "IMAGESCOPE_ENDPOINT_MODEL"
_LARGER = 4  # times the limit under which a reply that was cut off is asked for again, once


class Endpoint(BaseChatModel):
    """Asks a server; what it refuses or silently ignores is found out, remembered and noted.

    Control tokens in what is asked (<|im_end|> and the like) are broken up by a space: see `messages.plain`.

    Attributes:
        url: of the server's /v1; IMAGESCOPE_ENDPOINT by default. User and password in it go to `login`.
        key: IMAGESCOPE_ENDPOINT_KEY by default; may be empty.
        login: "user:password" for basic authentication.
        model: IMAGESCOPE_ENDPOINT_MODEL by default, else the first of the server's that answers.
        max_tokens: longest reply, unless a call says otherwise.
        concurrency: requests under way at the same time.
        attempts: how often a request is sent before the server counts as unavailable.
        patience: seconds a request may take.
        pause: seconds before the second attempt; doubled before each further one.
        top_logprobs: how many tokens the server is asked to weigh for a choice.
    """

    url: str = ""
    key: SecretStr = Field(default_factory=lambda: SecretStr(os.environ.get(KEY_VARIABLE, "")))
    login: SecretStr = SecretStr("")
    model: str = Field(default_factory=lambda: os.environ.get(MODEL_VARIABLE, ""))
    max_tokens: int = 512
    concurrency: int = 8
    attempts: int = 4
    patience: float = 120.0
    pause: float = 0.5
    top_logprobs: int = TOP_LOGPROBS[0]
    _server: Server | None = PrivateAttr(default=None)
    _negotiators: dict[str, Negotiator] = PrivateAttr(default_factory=dict)
    _powers: dict[str, Powers] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keep_the_login(cls, options: Any) -> Any:
        if not isinstance(options, dict):
            return options
        url, login = split_login(str(options.get("url", os.environ.get(URL_VARIABLE, ""))))
        return {**options, "url": url, **({"login": login} if login else {})}

    @property
    def _llm_type(self) -> str:
        return "endpoint"

    @property
    def weights(self) -> str:
        """What is known of the weights: the server's name for them."""
        return f"{self.model or 'default'} at {self.url}"

    @property
    def images_per_request(self) -> int | None:
        """As `protocols.LimitedImages`: known once the server refused a request with more pictures."""
        known = self._negotiators.get(self.model)
        return None if known is None else known.pictures

    def server(self) -> Server:
        """The connection.

        Raises:
            BackendUnavailable: no URL is given, or it is none.
        """
        if self._server is None:
            if not self.url:
                raise BackendUnavailable(
                    f"no server is named; set {URL_VARIABLE} to its address, as in http://host:8000/v1"
                )
            key, login = self.key.get_secret_value(), self.login.get_secret_value()
            self._server = Server(
                Address(url=self.url, key=key, login=login),
                concurrency=self.concurrency,
                attempts=self.attempts,
                patience=self.patience,
                pause=self.pause,
            )
        return self._server

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """The option that holds a reply to the schema; whether the server heeds it shows at the first use."""
        described = {"name": schema.__name__, "strict": True, "schema": json_schema(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}

    async def negotiator(self) -> Negotiator:
        """What is known of how the server wants to be asked, and who finds it out.

        Raises:
            BackendUnavailable: it does not answer, or no model is named and none of its own answers a chat.
        """
        if not self.model:
            self.model = await name_of(self.server(), self._negotiator)
        return self._negotiator(self.model)

    def _negotiator(self, name: str) -> Negotiator:
        if name not in self._negotiators:
            wanted = Dialect(top_logprobs=self.top_logprobs)
            self._negotiators[name] = Negotiator(self.server().ask, name, wanted)
        return self._negotiators[name]

    async def powers(self) -> Powers:
        """What the server heeds, asked once.

        Raises:
            BackendUnavailable: it does not answer.
        """
        negotiator = await self.negotiator()
        async with negotiator.lock("powers"):
            if self.model not in self._powers:
                self._powers[self.model] = await probe(negotiator)
        return self._powers[self.model]

    async def without(self) -> list[str]:
        """What a run must do without because the server refuses it, as far as it is known."""
        negotiator = await self.negotiator()
        everything = Question(messages=[], limit=1, weigh=True, format={})
        return negotiator.dialect.remarks(everything, negotiator.wanted)

    async def asees(self, pictures: int) -> bool:
        """Whether a request may hold so many pictures, found out by one with small ones.

        Raises:
            BackendUnavailable: the server does not answer.
        """
        return await (await self.negotiator()).takes(pictures)

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """Probabilities of the choices as the first token, from the server's logprobs: (n, n_choices).

        A choice that the server does not weigh gets what the others leave over, at most the least of them.

        Raises:
            UnusableLabels: the server gives no logprobs, the choices begin alike, or no reply begins with one.
            BackendUnavailable: it does not answer.
        """
        if not (await self.powers()).logprobs:
            ignored = (await self.negotiator()).dialect.top_logprobs
            raise UnusableLabels(f"the server {'ignores' if ignored else 'refuses'} logprobs")
        start = time.perf_counter()
        outcomes = await self._ask_all(messages)
        answers = {row: each for row, each in enumerate(outcomes) if not isinstance(each, Exception)}
        if answers and not any(first_token_weights(answer) for answer, _ in answers.values()):
            raise UnusableLabels("the server gives no logprobs for these questions")
        rows = {row: first_token_probabilities(answer, choices) for row, (answer, _) in answers.items()}
        if rows and not any(rows.values()):
            raise UnusableLabels("the server's first token is none of the answers")
        remarks = dict.fromkeys(remark for _, remarks in answers.values() for remark in remarks)
        notes = [_note("fallback", remark) for remark in remarks]
        if unheard := sum(row is None for row in rows.values()):
            detail = f"the server weighed none of {list(choices)!r} in {unheard} of {len(messages)} answers"
            notes.append(_note("unreadable", detail))
        return Choice(
            probabilities=[
                rows.get(row) or [1 / len(choices)] * len(choices) for row in range(len(messages))
            ],
            usage=_usage([answer for answer, _ in answers.values()], len(messages), start),
            notes=notes,
            refused={row: str(each) for row, each in enumerate(outcomes) if isinstance(each, Exception)},
            failed=frozenset(row for row, each in enumerate(outcomes) if isinstance(each, RequestFailed)),
        )

    async def _ask_all(
        self, messages: Sequence[Sequence[BaseMessage]]
    ) -> list[tuple[dict[str, Any], list[str]] | Exception]:
        """All answers, or why there is none; when the server answers nothing at all the others are called off.

        A request that is not answered fails alone where the server answers others.
        """
        negotiator = await self.negotiator()
        asking = [asyncio.ensure_future(self._weighed(negotiator, each)) for each in messages]
        try:
            outcomes = list(await asyncio.gather(*asking))
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return outcomes

    async def _weighed(
        self, negotiator: Negotiator, messages: Sequence[BaseMessage]
    ) -> tuple[dict[str, Any], list[str]] | Exception:
        async def ask() -> tuple[dict[str, Any], list[str]]:
            answer, remarks = await negotiator.asked(_question(messages, 1, weigh=True))
            written(answer)
            return answer, remarks

        try:
            return await answer_of(self, ask)
        except (RequestRefused, UnreadableReply) as error:
            return error

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        negotiator = await self.negotiator()
        form = kwargs.get("response_format")
        notes = []
        if form is not None and not (await self.powers()).schema and negotiator.dialect.schema != "none":
            notes.append(_note("fallback", "the server ignores JSON schemas; its replies are only parsed"))
            form = None
        options: dict[str, Any] = {name: kwargs[name] for name in ("temperature", "seed") if name in kwargs}
        if stop:
            options["stop"] = list(stop)
        question = replace(
            _question(messages, int(kwargs.get("max_tokens") or self.max_tokens)),
            format=form,
            options=options,
        )
        reading = Reading(negotiator, whole=kwargs.get("response_format") is not None)
        larger = 0 if kwargs.get("max_tokens") else _LARGER * question.limit
        reply = await reading.read(question, larger=larger)
        notes += [_note("fallback", detail) for detail in reading.remarks]
        message = AIMessage(
            content=reply.text,
            usage_metadata=_counted(reading.prompt_tokens, reading.completion_tokens),
            response_metadata={
                "model_name": self.model,
                "finish_reason": reply.finish,
                "image_prefills": 0,
                "notes": notes,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _question(messages: Sequence[BaseMessage], limit: int, *, weigh: bool = False) -> Question:
    made = wire_messages(messages)
    return Question(messages=made, limit=limit, weigh=weigh, pictures=pictures_in(made))


def _counted(read: int, wrote: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote)


def _usage(answers: Sequence[dict[str, Any]], calls: int, start: float) -> dict[str, Any]:
    counts = [token_counts(answer) for answer in answers]
    return {
        "calls": calls,
        "prompt_tokens": sum(read for read, _ in counts),
        "completion_tokens": sum(wrote for _, wrote in counts),
        "image_prefills": 0,
        "seconds": time.perf_counter() - start,
    }


def _note(kind: NoteKind, detail: str) -> dict[str, str]:
    return note("model", kind, detail)

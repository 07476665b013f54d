"""Any OpenAI-compatible server (vLLM, SGLang, llama.cpp, hosted ones), with label probabilities and schemas."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, model_validator

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.mllms.openai.address import Address, split_logins
from imagescope_agent.mllms.openai.connection import Server
from imagescope_agent.mllms.openai.dialect import TOP_LOGPROBS, Dialect, Question
from imagescope_agent.mllms.openai.probing import Powers
from imagescope_agent.mllms.openai.replicas.asking import Asking, model_of
from imagescope_agent.mllms.openai.replicas.pool import Pool
from imagescope_agent.mllms.openai.replicas.replica import Replica
from imagescope_agent.mllms.openai.scoring import question_of, scored
from imagescope_agent.mllms.openai.truncation import Reading
from imagescope_agent.mllms.protocols import Choice
from imagescope_agent.mllms.schema import json_schema
from imagescope_agent.records import note

URL_VARIABLE = "IMAGESCOPE_ENDPOINT"
KEY_VARIABLE = "IMAGESCOPE_ENDPOINT_KEY"
MODEL_VARIABLE = "IMAGESCOPE_ENDPOINT_MODEL"
_LARGER = 4  # times the limit under which a reply that was cut off is asked for again, once


class Endpoint(BaseChatModel):
    """Asks a server; what it refuses or silently ignores is found out, remembered and noted.

    Control tokens in what is asked (<|im_end|> and the like) are broken up by a space: see `messages.plain`.

    Attributes:
        url: of the server's /v1; IMAGESCOPE_ENDPOINT by default. User and password in it go to `login`. A list, or
            several in one text with commas between them: replicas, servers of the same model under the same name.
        key: IMAGESCOPE_ENDPOINT_KEY by default; may be empty.
        login: "user:password" for basic authentication; a list where `url` is one.
        model: IMAGESCOPE_ENDPOINT_MODEL by default, else the first of the server's that answers.
        max_tokens: longest reply, unless a call says otherwise.
        concurrency: requests under way at the same time, at each server.
        attempts: how often a request is sent before the server counts as unavailable.
        patience: seconds a request may take.
        pause: seconds before the second attempt; doubled before each further one.
        top_logprobs: how many tokens the server is asked to weigh for a choice.
    """

    url: str | list[str] = ""
    key: SecretStr = Field(default_factory=lambda: SecretStr(os.environ.get(KEY_VARIABLE, "")))
    login: SecretStr | list[SecretStr] = SecretStr("")
    model: str = Field(default_factory=lambda: os.environ.get(MODEL_VARIABLE, ""))
    max_tokens: int = 512
    concurrency: int = 8
    attempts: int = 4
    patience: float = 120.0
    pause: float = 0.5
    top_logprobs: int = TOP_LOGPROBS[0]
    _pool: Pool | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _keep_the_login(cls, options: Any) -> Any:
        if not isinstance(options, dict):
            return options
        urls, logins = split_logins(options.get("url", os.environ.get(URL_VARIABLE, "")))
        if len(urls) == 1:
            return {**options, "url": urls[0], **({"login": logins[0]} if logins[0] else {})}
        return {**options, "url": urls, "login": logins}

    @property
    def _llm_type(self) -> str:
        return "endpoint"

    @property
    def weights(self) -> str:
        """What is known of the weights: the server's name for them, and where it, or the first of several, is."""
        return f"{self.model or 'default'} at {self.urls[0] if self.urls else ''}"

    @property
    def urls(self) -> list[str]:
        """Where the servers are, without user and password."""
        return [each for each in ([self.url] if isinstance(self.url, str) else self.url) if each]

    @property
    def images_per_request(self) -> int | None:
        """As `protocols.LimitedImages`: known once every server refused a request with more pictures."""
        limits = [each.negotiator(self.model).pictures for each in self.pool().replicas] if self.urls else []
        known = [limit for limit in limits if limit is not None]
        return max(known) if known and len(known) == len(limits) else None

    def pool(self) -> Pool:
        """The servers.

        Raises:
            BackendUnavailable: no URL is given, or one is none.
        """
        if self._pool is None:
            if not self.urls:
                raise BackendUnavailable(
                    f"no server is named; set {URL_VARIABLE} to its address, as in http://host:8000/v1"
                )
            logins = self.login if isinstance(self.login, list) else [self.login]
            self._pool = Pool(
                [self._replica(url, login) for url, login in zip(self.urls, logins, strict=True)],
                concurrency=self.concurrency,
                attempts=self.attempts,
                pause=self.pause,
            )
        return self._pool

    def _replica(self, url: str, login: SecretStr) -> Replica:
        alone = len(self.urls) == 1
        server = Server(
            Address(url=url, key=self.key.get_secret_value(), login=login.get_secret_value()),
            concurrency=self.concurrency,
            attempts=self.attempts if alone else 1,
            patience=self.patience,
            pause=self.pause,
            alone=alone,
        )
        return Replica(server=server, wanted=Dialect(top_logprobs=self.top_logprobs), pause=self.pause)

    def server(self) -> Server:
        """The connection to the first server.

        Raises:
            BackendUnavailable: no URL is given, or one is none.
        """
        return self.pool().replicas[0].server

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """The option that holds a reply to the schema; whether the server heeds it shows at the first use."""
        described = {"name": schema.__name__, "strict": True, "schema": json_schema(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}

    async def asking(self) -> Asking:
        """Who asks the servers, each as it wants to be asked.

        Raises:
            BackendUnavailable: none answers, or no model is named and none of their own answers a chat.
        """
        if not self.model:
            self.model = await model_of(self.pool())
        return Asking(self.pool(), self.model)

    async def powers(self) -> Powers:
        """What the server heeds, asked once; of several, what at least one of them does.

        Raises:
            BackendUnavailable: none answers.
        """
        return await (await self.asking()).powers()

    async def without(self) -> list[str]:
        """What a run must do without because the server refuses it, as far as it is known."""
        asking = await self.asking()
        everything = Question(messages=[], limit=1, weigh=True, format={})
        known = [each.negotiator(asking.model) for each in asking.pool.replicas]
        return list(
            dict.fromkeys(line for each in known for line in each.dialect.remarks(everything, each.wanted))
        )

    async def asees(self, pictures: int) -> bool:
        """Whether a request may hold so many pictures, found out by one with small ones.

        Raises:
            BackendUnavailable: no server answers.
        """
        return await (await self.asking()).takes(pictures)

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """Probabilities of the choices as the first token, from the server's logprobs: (n, n_choices).

        A choice that the server does not weigh gets what the others leave over, at most the least of them.

        Raises:
            UnusableLabels: the server gives no logprobs, the choices begin alike, or no reply begins with one.
            BackendUnavailable: it does not answer.
        """
        return await scored(self, await self.asking(), messages, choices)

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
        asking = await self.asking()
        options: dict[str, Any] = {name: kwargs[name] for name in ("temperature", "seed") if name in kwargs}
        if stop:
            options["stop"] = list(stop)
        question = replace(
            question_of(messages, int(kwargs.get("max_tokens") or self.max_tokens)),
            format=kwargs.get("response_format"),
            options=options,
        )
        reading = Reading(asking, whole=kwargs.get("response_format") is not None)
        larger = 0 if kwargs.get("max_tokens") else _LARGER * question.limit
        reply = await reading.read(question, larger=larger)
        notes = [note("model", "fallback", detail) for detail in reading.remarks]
        notes += [note("model", "retried", detail) for detail in reading.retries]
        message = AIMessage(
            content=reply.text,
            usage_metadata=_counted(reading.prompt_tokens, reading.completion_tokens),
            response_metadata={
                "model_name": self.model,
                "finish_reason": reply.finish,
                "image_prefills": reading.image_prefills,
                "notes": [*notes, *reading.notes],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _counted(read: int, wrote: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote)

"""Any OpenAI-compatible server (vLLM, SGLang, hosted ones), with label probabilities and schemas."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.mllms.openai_client import (
    Powers,
    Server,
    first_token_probabilities,
    payload,
    reply_text,
    token_counts,
)
from imagescope_agent.mllms.protocols import Choice, UnusableLabels
from imagescope_agent.mllms.schema import json_schema

URL_VARIABLE = "IMAGESCOPE_ENDPOINT"
KEY_VARIABLE = "IMAGESCOPE_ENDPOINT_KEY"
MODEL_VARIABLE = "IMAGESCOPE_ENDPOINT_MODEL"


class Endpoint(BaseChatModel):
    """Asks a server; what it silently ignores is found out by one question before the first real one.

    Attributes:
        url: of the server's /v1; IMAGESCOPE_ENDPOINT by default.
        key: IMAGESCOPE_ENDPOINT_KEY by default; may be empty.
        model: IMAGESCOPE_ENDPOINT_MODEL by default, else the first the server lists.
        max_tokens: longest reply, unless a call says otherwise.
        concurrency: requests under way at the same time.
        attempts: how often a request is sent before the server counts as unavailable.
        patience: seconds a request may take.
        pause: seconds before the second attempt; doubled before each further one.
        top_logprobs: how many tokens the server is asked to weigh for a choice.
    """

    url: str = Field(default_factory=lambda: os.environ.get(URL_VARIABLE, ""))
    key: SecretStr = Field(default_factory=lambda: SecretStr(os.environ.get(KEY_VARIABLE, "")))
    model: str = Field(default_factory=lambda: os.environ.get(MODEL_VARIABLE, ""))
    max_tokens: int = 512
    concurrency: int = 8
    attempts: int = 4
    patience: float = 120.0
    pause: float = 0.5
    top_logprobs: int = 20
    _server: Server | None = PrivateAttr(default=None)
    _powers: dict[str, Powers] = PrivateAttr(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return "endpoint"

    @property
    def weights(self) -> str:
        """What is known of the weights: the server's name for them."""
        return f"{self.model or 'default'} at {self.url}"

    def server(self) -> Server:
        """The connection.

        Raises:
            BackendUnavailable: no URL is given.
        """
        if self._server is None:
            if not self.url:
                raise BackendUnavailable(
                    f"no server is named; set {URL_VARIABLE} to its address, as in http://host:8000/v1"
                )
            self._server = Server(
                url=self.url,
                key=self.key.get_secret_value(),
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

    async def powers(self) -> Powers:
        """What the server heeds, asked once.

        Raises:
            BackendUnavailable: it does not answer.
        """
        name = await self._name()
        if name not in self._powers:
            self._powers[name] = await self.server().probe(name)
        return self._powers[name]

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """Probabilities of the choices as the first token, from the server's logprobs: (n, n_choices).

        A choice that the server does not weigh gets what the others leave over, at most the least of them.

        Raises:
            UnusableLabels: the server gives no logprobs, or the choices begin alike.
            BackendUnavailable: it does not answer.
        """
        if not (await self.powers()).logprobs:
            raise UnusableLabels("the server ignores logprobs")
        start = time.perf_counter()
        extra = {"max_tokens": 1, "logprobs": True, "top_logprobs": self.top_logprobs}
        answers = await self._ask_all(messages, extra)
        rows: list[list[float]] = []
        unheard = 0
        for answer in answers:
            row = first_token_probabilities(answer, choices)
            unheard += row is None
            rows.append(row or [1 / len(choices)] * len(choices))
        counts = [token_counts(answer) for answer in answers]
        usage = {
            "calls": len(answers),
            "prompt_tokens": sum(read for read, _ in counts),
            "completion_tokens": sum(wrote for _, wrote in counts),
            "image_prefills": 0,
            "seconds": time.perf_counter() - start,
        }
        notes = []
        if unheard:
            detail = f"the server weighed none of {list(choices)!r} in {unheard} of {len(rows)} answers"
            notes.append({"step": "model", "kind": "unreadable", "detail": detail})
        return Choice(probabilities=rows, usage=usage, notes=notes)

    async def _ask_all(self, messages: Sequence[Sequence[BaseMessage]], extra: dict[str, Any]) -> list[Any]:
        """All answers; when one request fails for good the others are called off."""
        name = await self._name()
        asking = [
            asyncio.ensure_future(self.server().ask(payload(name, each, self.max_tokens, None, extra)))
            for each in messages
        ]
        try:
            return list(await asyncio.gather(*asking))
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _name(self) -> str:
        if not self.model:
            self.model = await self.server().first_model()
        return self.model

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
        notes: list[dict[str, str]] = []
        extra = {
            key: value for key, value in kwargs.items() if key in ("response_format", "temperature", "seed")
        }
        if "response_format" in extra and not (await self.powers()).schema:
            del extra["response_format"]
            detail = "the server ignores JSON schemas; its replies are only parsed"
            notes.append({"step": "model", "kind": "fallback", "detail": detail})
        limit = int(kwargs.get("max_tokens") or self.max_tokens)
        answer = await self.server().ask(payload(await self._name(), messages, limit, stop, extra))
        read, wrote = token_counts(answer)
        message = AIMessage(
            content=reply_text(answer),
            usage_metadata=UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote),
            response_metadata={
                "model_name": answer.get("model", self.model),
                "finish_reason": answer["choices"][0].get("finish_reason"),
                "image_prefills": 0,
                "notes": notes,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

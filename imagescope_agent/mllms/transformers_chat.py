"""LangChain chat model that runs a Hugging Face checkpoint in this process, on CUDA or CPU.

The engine, and with it transformers, is imported at the first request: a search that asks no chat model needs neither.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel, ConfigDict, PrivateAttr

from imagescope_agent.common.model_loading import LOADING
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.batch import outcomes
from imagescope_agent.mllms.engine.checkpoint_files import hash_of
from imagescope_agent.mllms.engine.config import EngineConfig, ModelConfig
from imagescope_agent.mllms.engine.request_queue import (
    MOST_WAITING,
    EngineStats,
    GenerateOutput,
    Job,
    ScoreOutput,
)
from imagescope_agent.mllms.engine.scoring import choice_of, is_failure
from imagescope_agent.mllms.protocols import Attention, Choice, Embedding
from imagescope_agent.mllms.role import CALLER
from imagescope_agent.mllms.schema import json_schema

if TYPE_CHECKING:
    from imagescope_agent.mllms.engine.engine import Engine


class TransformersChat(BaseChatModel, ModelConfig, EngineConfig):
    """Greedy decoding, label probabilities and JSON schemas; requests of concurrent tasks share batches.

    Its options are those of `ModelConfig` and `EngineConfig`. The weights are loaded at the first request, once per
    process for the same `ModelConfig`.

    Attributes:
        max_tokens: longest reply, unless a call says otherwise.
    """

    model_config = ConfigDict(frozen=False)

    max_tokens: int = 512
    _engine: Engine | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "transformers"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"checkpoint": self.checkpoint, "revision": self.revision, "dtype": self.dtype}

    @property
    def weights(self) -> str:
        """Hash of the checkpoint's files; its weights are not loaded.

        Raises:
            BackendUnavailable: there are no such files.
        """
        return hash_of(ModelConfig(**self._options(ModelConfig)))

    def engine(self) -> Engine:
        """The engine; loads the weights at the first call.

        Raises:
            BackendUnavailable: they cannot be loaded.
        """
        if self._engine is None:
            with LOADING:
                from imagescope_agent.mllms.engine.engine import open_engine

                self._engine = open_engine(
                    ModelConfig(**self._options(ModelConfig)), EngineConfig(**self._options(EngineConfig))
                )
        return self._engine

    def stats(self) -> EngineStats | None:
        """What the engine did so far; None before the weights are loaded."""
        return None if self._engine is None else self._engine.stats()

    def clear_caches(self) -> None:
        """Empty the engine's caches in memory; files in `feature_folder` stay."""
        self.engine().backend.clear_caches()

    def without_prefix_sharing(self) -> TransformersChat:
        """The same weights without shared prefixes, for comparison."""
        options = self._options(ModelConfig) | self._options(EngineConfig) | {"share_prefix": False}
        return TransformersChat(max_tokens=self.max_tokens, **options)

    def _options(self, kind: type[BaseModel]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in kind.model_fields}

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """The `response_format` that holds a reply to the schema."""
        described = {"name": schema.__name__, "schema": json_schema(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """First-token probabilities of the choices after each conversation: (n_conversations, n_choices).

        Conversations with the same images and preamble share their prefill. One that is refused (`Choice.refused`)
        has an even row.

        Raises:
            UnusableLabels: the choices do not begin with distinct tokens.
            RequestRefused: all of the conversations are refused.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        labels = engine.label_ids(choices)
        caller = CALLER.get() or object()
        start = time.perf_counter()
        outputs: list[ScoreOutput | BaseException] = []
        while len(outputs) < len(messages) and not any(map(is_failure, outputs)):
            part = messages[len(outputs) : len(outputs) + MOST_WAITING]
            jobs = [Job(messages=each, caller=caller, labels=labels) for each in part]
            engine.submit(jobs)
            outputs += await outcomes([job.future for job in jobs])
        return choice_of(outputs, len(choices), time.perf_counter() - start)

    async def acount(self, messages: list[list[BaseMessage]]) -> list[int]:
        """Tokens of each conversation's prompt, images and template included, without any sharing.

        0 for one that will be refused.

        Raises:
            BadInput: a message or content of a type that is not supported.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        task = engine.run_task(lambda backend, parsed: backend.count_valid(parsed), messages)
        return await asyncio.wrap_future(task)

    async def aattention(self, messages: list[BaseMessage], *, each_head: bool = False) -> Attention:
        """How much the text after the last image attends to each token of each image, in one forward.

        Raises:
            BadInput: the conversation is refused, or the model's attention cannot be read.
            BackendUnavailable: the weights cannot be loaded.
        """
        from imagescope_agent.mllms.engine.attention import read_attention

        engine = await self._aengine()
        task = engine.run_task(
            lambda backend, parsed: read_attention(
                engine.checkpoint, backend, parsed[0], each_head=each_head
            ),
            [messages],
        )
        return await asyncio.wrap_future(task)

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        """The last layer's hidden state at the last token of each conversation.

        Raises:
            BadInput: a conversation is refused, or the model's hidden states cannot be read.
            BackendUnavailable: the weights cannot be loaded.
        """
        from imagescope_agent.mllms.engine.embedding import embed_conversations

        engine = await self._aengine()
        task = engine.run_task(
            lambda backend, parsed: embed_conversations(engine.checkpoint, backend, parsed), messages
        )
        return await asyncio.wrap_future(task)

    async def _aengine(self) -> Engine:
        return self._engine if self._engine is not None else await asyncio.to_thread(self.engine)

    def _job(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Job:
        return Job(
            messages=messages,
            caller=CALLER.get() or object(),
            max_tokens=int(options.get("max_tokens") or self.max_tokens),
            schema=_schema(options.get("response_format")),
            stop=tuple(stop or ()),
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        job = self._job(messages, stop, kwargs)
        self.engine().submit([job])
        return self._result(job.future.result())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        job = self._job(messages, stop, kwargs)
        (await self._aengine()).submit([job])
        return self._result(await asyncio.wrap_future(job.future))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        job = self._job(messages, stop, kwargs)
        pieces: SimpleQueue[str | None] = SimpleQueue()
        job.on_text = pieces.put
        job.future.add_done_callback(lambda _: pieces.put(None))
        self.engine().submit([job])
        while (piece := pieces.get()) is not None:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield self._last_chunk(job.future.result())

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        job = self._job(messages, stop, kwargs)
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        job.on_text = lambda text: _put_threadsafe(loop, pieces, text)
        job.future.add_done_callback(lambda _: _put_threadsafe(loop, pieces, None))
        (await self._aengine()).submit([job])
        while (piece := await pieces.get()) is not None:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield self._last_chunk(job.future.result())

    def _result(self, output: GenerateOutput) -> ChatResult:
        message = AIMessage(
            content=output.text, usage_metadata=_usage(output), response_metadata=self._metadata(output)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _last_chunk(self, output: GenerateOutput) -> ChatGenerationChunk:
        message = AIMessageChunk(
            content="", usage_metadata=_usage(output), response_metadata=self._metadata(output)
        )
        return ChatGenerationChunk(message=message)

    def _metadata(self, output: GenerateOutput) -> dict[str, Any]:
        return {
            "model_name": self.checkpoint,
            "finish_reason": output.finish_reason,
            "image_prefills": output.image_prefills,
            "notes": list(output.notes),
        }


def _put_threadsafe(loop: asyncio.AbstractEventLoop, pieces: asyncio.Queue[Any], piece: str | None) -> None:
    if not loop.is_closed():  # the caller may be gone
        loop.call_soon_threadsafe(pieces.put_nowait, piece)


def _usage(output: GenerateOutput) -> UsageMetadata:
    prompt, completion = output.prompt_tokens, output.completion_tokens
    return UsageMetadata(input_tokens=prompt, output_tokens=completion, total_tokens=prompt + completion)


def _schema(response_format: Any) -> str | None:
    if response_format is None:
        return None
    try:
        return json.dumps(response_format["json_schema"]["schema"])
    except (KeyError, TypeError) as error:
        raise BadInput(
            'response_format must be {"type": "json_schema", "json_schema": {"schema": ...}}'
        ) from error

"""A Hugging Face image-text-to-text checkpoint as a LangChain chat model, on CUDA or CPU."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel, PrivateAttr

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.attention import attention_of
from imagescope_agent.mllms.hosting.checkpoint import Source
from imagescope_agent.mllms.hosting.embedding import embedding_of
from imagescope_agent.mllms.hosting.engine import Engine, open_engine
from imagescope_agent.mllms.hosting.limits import Limits
from imagescope_agent.mllms.hosting.work import Job, Written, choice_of
from imagescope_agent.mllms.protocols import Attention, Choice, Embedding
from imagescope_agent.mllms.role import CALLER
from imagescope_agent.mllms.schema import json_schema


class TransformersChat(BaseChatModel):
    """Answers greedily, gives label probabilities, follows schemas; requests of concurrent tasks share batches.

    The weights are loaded at the first question, once per process for the same source.

    Attributes:
        checkpoint: a folder, or a hub id.
        revision: of the hub id.
        device: "auto" is CUDA where there is one, else CPU.
        dtype: "auto" is bfloat16 on CUDA, float32 on CPU.
        attention: the kernel by its transformers name; one that heeds no mask shares no prefixes.
        max_tokens: longest reply, unless a call says otherwise.
        batch_tokens: tokens of one forward, padding included.
        row_tokens: length up to which questions join one picture's row.
        rows: replies written at the same time.
        vision_cache: bytes of vision features held in memory.
        prefix_cache: bytes held in memory of what the language model made of pictures, so that a later question
            reads only its own words: 0.2 MB a picture for the mini model, 150 MB for one of 8B parameters.
        feature_folder: vision features are also kept there; empty for not.
        feature_bytes: of all files in that folder.
        share_prefix: whether questions about one picture share its prefix.
        trust_remote_code: run code that comes with the checkpoint.
    """

    checkpoint: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "sdpa"
    max_tokens: int = 512
    batch_tokens: int = 8192
    row_tokens: int = 1024
    rows: int = 64
    vision_cache: int = 256 * 2**20
    prefix_cache: int = 0
    feature_folder: str = ""
    feature_bytes: int = 4 * 2**30
    share_prefix: bool = True
    trust_remote_code: bool = False
    _opened: Engine | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "transformers"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"checkpoint": self.checkpoint, "revision": self.revision, "dtype": self.dtype}

    @property
    def weights(self) -> str:
        """Hash of the checkpoint; loads it if need be.

        Raises:
            BackendUnavailable: it cannot be loaded.
        """
        return self.engine().checkpoint.weights

    def engine(self) -> Engine:
        """What hosts the weights; loads them at the first call.

        Raises:
            BackendUnavailable: they cannot be loaded.
        """
        if self._opened is None:
            source = Source(
                checkpoint=self.checkpoint,
                revision=self.revision,
                device=self.device,
                dtype=self.dtype,
                attention=self.attention,
                trust_remote_code=self.trust_remote_code,
            )
            limits = Limits(
                batch_tokens=self.batch_tokens,
                row_tokens=self.row_tokens,
                rows=self.rows,
                vision_cache=self.vision_cache,
                prefix_cache=self.prefix_cache,
                shelf=self.feature_folder,
                shelf_bytes=self.feature_bytes,
                share=self.share_prefix,
            )
            self._opened = open_engine(source, limits)
        return self._opened

    def forget(self) -> None:
        """Let go of what is held of pictures in memory; features in `feature_folder` stay."""
        self.engine().desk.forget_features()

    def plainly(self) -> TransformersChat:
        """The same weights without shared prefixes, to compare with."""
        own = TransformersChat.model_fields.keys() - BaseChatModel.model_fields.keys()
        options = {name: getattr(self, name) for name in own}
        return TransformersChat(**{**options, "share_prefix": False})

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """The option that holds a reply to the schema."""
        described = {"name": schema.__name__, "schema": json_schema(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """First-token probabilities of the choices after each conversation: (n_conversations, n_choices).

        Conversations with the same pictures and preamble read them once. One that cannot be asked (`refused`) has an
        even row.

        Raises:
            UnusableLabels: the choices do not begin with distinct tokens.
            RequestRefused: none of the conversations can be asked.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        labels = engine.label_ids(choices)
        caller = CALLER.get() or object()
        jobs = [Job(messages=each, caller=caller, labels=labels) for each in messages]
        start = time.perf_counter()
        engine.submit(jobs)
        answers = await asyncio.gather(
            *(asyncio.wrap_future(job.future) for job in jobs), return_exceptions=True
        )
        return choice_of(answers, len(choices), time.perf_counter() - start)

    async def acount(self, messages: list[list[BaseMessage]]) -> list[int]:
        """Tokens of each conversation's prompt, pictures and template included, as if it were asked alone.

        0 for one that will be refused.

        Raises:
            BadInput: a conversation of a kind that is never asked.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        return await asyncio.wrap_future(engine.look(lambda desk, read: desk.count(read), messages))

    async def aattention(self, messages: list[BaseMessage]) -> Attention:
        """How much the text after the last picture attends to each token of each picture; one forward.

        Raises:
            BadInput: a conversation that cannot be asked, or a family whose attention cannot be read.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        look = engine.look(lambda desk, read: attention_of(engine.checkpoint, desk, read[0]), [messages])
        return await asyncio.wrap_future(look)

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        """The last layer's state at the last token of each conversation.

        Raises:
            BadInput: a conversation that cannot be asked, or a family whose states cannot be read.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        look = engine.look(
            lambda desk, read: embedding_of(engine.checkpoint, desk, engine.limits, read), messages
        )
        return await asyncio.wrap_future(look)

    async def _aengine(self) -> Engine:
        return self._opened if self._opened is not None else await asyncio.to_thread(self.engine)

    def _job(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Job:
        limit = options.get("max_tokens") or self.max_tokens
        return Job(
            messages=messages,
            caller=CALLER.get() or object(),
            max_tokens=int(limit),
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
        job.on_text = lambda text: _soon(loop, pieces, text)
        job.future.add_done_callback(lambda _: _soon(loop, pieces, None))
        (await self._aengine()).submit([job])
        while (piece := await pieces.get()) is not None:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield self._last_chunk(job.future.result())

    def _result(self, written: Written) -> ChatResult:
        message = AIMessage(
            content=written.text, usage_metadata=_usage(written), response_metadata=self._metadata(written)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _last_chunk(self, written: Written) -> ChatGenerationChunk:
        message = AIMessageChunk(
            content="", usage_metadata=_usage(written), response_metadata=self._metadata(written)
        )
        return ChatGenerationChunk(message=message)

    def _metadata(self, written: Written) -> dict[str, Any]:
        return {
            "model_name": self.checkpoint,
            "finish_reason": written.finish,
            "image_prefills": written.image_prefills,
            "notes": list(written.notes),
        }


def _soon(loop: asyncio.AbstractEventLoop, pieces: asyncio.Queue[str | None], piece: str | None) -> None:
    if not loop.is_closed():  # whoever listened may have gone
        loop.call_soon_threadsafe(pieces.put_nowait, piece)


def _usage(written: Written) -> UsageMetadata:
    read, wrote = written.prompt_tokens, written.completion_tokens
    return UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote)


def _schema(response_format: Any) -> str | None:
    if response_format is None:
        return None
    try:
        return json.dumps(response_format["json_schema"]["schema"])
    except (KeyError, TypeError) as error:
        raise BadInput(
            'response_format must be {"type": "json_schema", "json_schema": {"schema": ...}}'
        ) from error

"""Inference engine: one thread per checkpoint runs the model on batches of all callers' requests."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from langchain_core.messages import BaseMessage

from imagescope_agent.common.model_loading import LOADING
from imagescope_agent.errors import BadInput, require_process
from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.backends.generate import GenerateBackend
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderCache
from imagescope_agent.mllms.engine.cache.encoder_disk_cache import EncoderDiskCache
from imagescope_agent.mllms.engine.checkpoint import Checkpoint, open_checkpoint
from imagescope_agent.mllms.engine.config import EngineConfig, ModelConfig
from imagescope_agent.mllms.engine.conversation import Conversation, MessageParser
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarCache
from imagescope_agent.mllms.engine.families import FAMILIES
from imagescope_agent.mllms.engine.families.base import FamilyAdapter
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.mllms.engine.request_queue import ControlTask, EngineStats, Job, RequestQueue
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.registry import resolve

#: Attention kernels that take custom masks, as questions that share a prefix need them.
MASKED = frozenset({"eager", "sdpa"})

_BATCH_WAIT = 0.001  # seconds an idle engine waits for more requests to batch

_Value = TypeVar("_Value")


class Engine:
    """A checkpoint with its backend, request queue and thread, which alone touches the weights.

    Attributes:
        checkpoint: the loaded model.
        backend: what serves the requests.
    """

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        self.checkpoint = checkpoint
        self.backend = open_backend(checkpoint, config)
        self._queue = RequestQueue()
        self._pid = os.getpid()
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="imagescope-model", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, whose futures are set when they are done. Returns at once.

        Raises:
            BadInput: this process was forked from the one that opened the model.
        """
        require_process(self._pid)
        self._queue.put(jobs)

    def run_task(
        self,
        action: Callable[[Backend, list[Conversation]], _Value],
        conversations: Sequence[Sequence[BaseMessage]],
    ) -> Future[_Value]:
        """Queue a task that runs exclusively on the engine thread, see `ControlTask`.

        Raises:
            BadInput: as `submit`.
        """
        require_process(self._pid)
        task = ControlTask(conversations=conversations, action=action)
        self._queue.put_task(task)
        return task.future

    def label_ids(self, choices: Sequence[str]) -> tuple[int, ...]:
        """The first token of each choice.

        Raises:
            UnusableLabels: an empty choice, or two that begin with the same token.
        """
        ids = [self.checkpoint.tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in choices]
        first = tuple(each[0] for each in ids if each)
        if len(set(first)) < len(choices):
            raise UnusableLabels(
                f"the choices {list(choices)!r} do not begin with distinct tokens for this model"
            )
        return first

    def stats(self) -> EngineStats:
        """Work done so far."""
        return self.backend.stats()

    def close(self) -> None:
        """Stop the thread after its current batch; waiting requests fail."""
        atexit.unregister(self.close)
        with self._queue.changed:
            self._closing = True
            self._queue.changed.notify()
        self._thread.join(timeout=10)

    def _loop(self) -> None:
        backend, queue, shares = self.backend, self._queue, self._queue.shares
        with torch.inference_mode():
            while self._wait():
                for task in queue.take_tasks():
                    self._run(task)
                if jobs := queue.take_to_generate(backend.free_slots):
                    self._guard(self._admit, jobs)
                to_score, to_generate = queue.callers()
                running = {job.caller for job in backend.running}
                work = shares.next(scoring=to_score, decoding=running and running | to_generate)
                start, jobs = time.perf_counter(), backend.running
                if work == "score":
                    self._guard(self._score, jobs := queue.take_to_score(backend.score_slots))
                elif work == "decode":
                    self._guard(self._step, jobs)
                if work is not None:
                    there = {job.caller for job in backend.running}.union(*queue.callers())
                    shares.spent(time.perf_counter() - start, _work_of(jobs), there)
        left: list[ControlTask | Job] = [
            *queue.take_tasks(),
            *queue.take_to_score(10**9),
            *queue.take_to_generate(10**9),
        ]
        for each in left:
            each.future.set_exception(RuntimeError("the model was closed"))

    def _wait(self) -> bool:
        """Wait for requests; False when the engine closes."""
        with self._queue.changed:
            idle = not self._queue and not self.backend.running
            while not self._closing and not self._queue and not self.backend.running:
                self._queue.changed.wait()
        if idle and not self._closing:
            time.sleep(_BATCH_WAIT)
        return not self._closing

    def _guard(self, action: Callable[[list[Job]], None], jobs: list[Job]) -> None:
        """Pass whatever goes wrong to the jobs' futures, so that the thread goes on."""
        try:
            action(jobs)
        except BaseException as error:  # noqa: BLE001 - the callers would wait for ever
            self.backend.abort(jobs)
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)

    def _run(self, task: ControlTask) -> None:
        parser = MessageParser()
        try:
            conversations = [parser.parse(each) for each in task.conversations]
            task.future.set_result(task.action(self.backend, conversations))
        except BaseException as error:  # noqa: BLE001 - the caller would wait for ever
            task.future.set_exception(error)

    def _parse(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs whose messages and schemas can be used, with their conversations."""
        parser = MessageParser()
        valid: list[Job] = []
        for job in jobs:
            try:
                job.conversation = parser.parse(job.messages)
                if job.schema is not None:
                    self.backend.grammars.compile(job.schema)
            except BadInput as error:
                job.future.set_exception(error)
            else:
                valid.append(job)
        return valid

    def _score(self, jobs: list[Job]) -> None:
        self.backend.score(self._parse(jobs))

    def _admit(self, jobs: list[Job]) -> None:
        self._queue.put(self.backend.admit(self._parse(jobs)))

    def _step(self, jobs: list[Job]) -> None:
        self._queue.put(self.backend.step())


def _work_of(jobs: Sequence[Job]) -> dict[object, tuple[float, int]]:
    """By caller, its tokens in a batch and its jobs: of answers the prompts, of replies one token each."""
    found: dict[object, tuple[float, int]] = {}
    for job in jobs:
        tokens, count = found.get(job.caller, (0.0, 0))
        found[job.caller] = tokens + _tokens(job), count + 1
    return found


def _tokens(job: Job) -> int:
    if job.labels is None or not job.future.done() or job.future.cancelled() or job.future.exception():
        return 1
    return int(job.future.result().prompt_tokens)


def open_backend(checkpoint: Checkpoint, config: EngineConfig) -> Backend:
    """The fastest backend for the checkpoint's model family.

    Raises:
        BadInput: there is no such family.
    """
    grammars = GrammarCache(checkpoint.tokenizer, checkpoint.vocabulary)
    fallback = GenerateBackend(checkpoint, grammars, config)
    family = config.family or (checkpoint.model_type if checkpoint.has_vision else "text")
    if checkpoint.is_spread:
        return fallback  # its layers are run by the model itself, which knows where they lie
    if checkpoint.config.attention not in MASKED or not (config.family or family in FAMILIES):
        return fallback
    features = EncoderCache(config.vision_cache, _disk_cache(checkpoint, config))
    adapter: FamilyAdapter = resolve(family, FAMILIES, kind="model family")(
        checkpoint, features, batch_tokens=config.batch_tokens
    )
    runner = ModelRunner(checkpoint, axes=adapter.axes, image_token=adapter.image_token)
    if any(getattr(layer, "is_sliding", False) for layer in runner.new_cache().layers):
        return fallback  # a sliding window evicts what a branch needs
    return SharedPrefixBackend(checkpoint, adapter, runner, grammars, config)


def _disk_cache(checkpoint: Checkpoint, config: EngineConfig) -> EncoderDiskCache | None:
    if not config.feature_folder:
        return None
    name = f"{checkpoint.weights}-{checkpoint.dtype}"
    return EncoderDiskCache(Path(config.feature_folder), name, max_bytes=config.feature_bytes)


def open_engine(model: ModelConfig, config: EngineConfig) -> Engine:
    """The process's engine for this configuration; weights are loaded once for all engine configurations.

    Raises:
        BackendUnavailable: the checkpoint cannot be loaded, see `open_checkpoint`.
        BadInput: there is no such model family.
    """
    with LOADING:
        return _engine(model, config)


@cache
def _engine(model: ModelConfig, config: EngineConfig) -> Engine:
    return Engine(_checkpoint(model), config)


@cache
def _checkpoint(model: ModelConfig) -> Checkpoint:
    return open_checkpoint(model)

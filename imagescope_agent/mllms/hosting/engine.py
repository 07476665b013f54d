"""One worker thread a model: it alone touches the weights, and every task's requests meet in its batches."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from langchain_core.messages import BaseMessage

from imagescope_agent.errors import BadInput, require_process
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint, Source, open_checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation, Reader
from imagescope_agent.mllms.hosting.desk import Desk
from imagescope_agent.mllms.hosting.features import FeatureCache
from imagescope_agent.mllms.hosting.guide import Guides
from imagescope_agent.mllms.hosting.limits import Limits
from imagescope_agent.mllms.hosting.network import Network
from imagescope_agent.mllms.hosting.qwen import FAMILIES as QWEN
from imagescope_agent.mllms.hosting.qwen import Qwen
from imagescope_agent.mllms.hosting.sharing import SplicedDesk
from imagescope_agent.mllms.hosting.shelf import Shelf
from imagescope_agent.mllms.hosting.spliced import FAMILIES as SPLICED
from imagescope_agent.mllms.hosting.spliced import Spliced
from imagescope_agent.mllms.hosting.whole import Whole, WholeDesk
from imagescope_agent.mllms.hosting.work import Counted, Errand, Inbox, Job
from imagescope_agent.mllms.protocols import UnusableLabels

#: Attention kernels that heed a mask of any shape, as questions that share a prefix need it.
MASKED = frozenset({"eager", "sdpa"})


_Value = TypeVar("_Value")


class Engine:
    """A hosted checkpoint."""

    def __init__(self, checkpoint: Checkpoint, limits: Limits) -> None:
        self.checkpoint = checkpoint
        self.limits = limits
        self.desk = open_desk(checkpoint, limits)
        self._inbox = Inbox()
        self._pid = os.getpid()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="imagescope-model", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs; their futures tell the end. Returns at once.

        Raises:
            BadInput: this process was forked from the one that opened the model.
        """
        require_process(self._pid)
        self._inbox.put(jobs)

    def look(
        self,
        action: Callable[[Desk, list[Conversation]], _Value],
        conversations: Sequence[Sequence[BaseMessage]],
    ) -> Future[_Value]:
        """Have the worker do something else with conversations, between its batches."""
        require_process(self._pid)
        errand = Errand(conversations=conversations, action=action)
        self._inbox.send(errand)
        return errand.future

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

    def counted(self) -> Counted:
        """Forwards, tokens (padding included) and pictures that passed the vision tower."""
        return self.desk.counted()

    def close(self) -> None:
        """Stop the worker after what it is doing now; what still waits is refused."""
        atexit.unregister(self.close)
        with self._inbox.ready:
            self._closing = True
            self._inbox.ready.notify()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        with torch.inference_mode():
            while self._wait():
                for errand in self._inbox.errands():
                    self._run(errand)
                if jobs := self._inbox.scores(self.desk.questions):
                    self._guarded(self._score, jobs)
                if jobs := self._inbox.writes(self.desk.room):
                    self._guarded(self._admit, jobs)
                if self.desk.writing:
                    self._guarded(self._step, self.desk.writing)
        left: list[Errand | Job] = [
            *self._inbox.errands(),
            *self._inbox.scores(10**9),
            *self._inbox.writes(10**9),
        ]
        for job in left:
            job.future.set_exception(RuntimeError("the model was closed"))

    def _wait(self) -> bool:
        with self._inbox.ready:
            idle = not self._inbox and not self.desk.writing
            while not self._closing and not self._inbox and not self.desk.writing:
                self._inbox.ready.wait()
        if idle and not self._closing:
            time.sleep(self.limits.linger)
        return not self._closing

    def _guarded(self, action: Callable[[list[Job]], None], jobs: list[Job]) -> None:
        """Whatever goes wrong belongs to those who asked; the worker lives on."""
        try:
            action(jobs)
        except BaseException as error:  # noqa: BLE001 - handed to the callers, who would wait for ever
            self.desk.forget(jobs)
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)

    def _run(self, errand: Errand) -> None:
        reader = Reader()
        try:
            read = [reader.read(each) for each in errand.conversations]
            errand.future.set_result(errand.action(self.desk, read))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who would wait for ever
            errand.future.set_exception(error)

    def _read(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Conversation]]:
        reader = Reader()
        ready: list[Job] = []
        conversations: list[Conversation] = []
        for job in jobs:
            try:
                conversations.append(reader.read(job.messages))
                ready.append(job)
            except BadInput as error:
                job.future.set_exception(error)
        return ready, conversations

    def _score(self, jobs: list[Job]) -> None:
        self.desk.score(*self._read(jobs))

    def _admit(self, jobs: list[Job]) -> None:
        self._inbox.put(self.desk.admit(*self._read(jobs)))

    def _step(self, jobs: list[Job]) -> None:
        self._inbox.put(self.desk.step())


def open_desk(checkpoint: Checkpoint, limits: Limits) -> Desk:
    """The fastest way to serve the checkpoint's family."""
    guides = Guides(checkpoint.tokenizer, checkpoint.vocabulary)
    features = FeatureCache(limits.vision_cache, _shelf(checkpoint, limits))
    plain = WholeDesk(Whole(checkpoint, guides), limits)
    if checkpoint.source.attention not in MASKED:
        return plain
    family: Any
    if checkpoint.family in QWEN:
        family = Qwen(checkpoint, features, batch_patches=4 * limits.batch_tokens)
    elif checkpoint.family in SPLICED or not checkpoint.sees:
        family = Spliced(checkpoint, features)
    else:
        return plain
    network = Network(checkpoint, axes=family.axes, image_token=family.image_token)
    if any(getattr(layer, "is_sliding", False) for layer in network.new_cache().layers):
        return plain  # a sliding window forgets what a branch would need
    return SplicedDesk(checkpoint, family, network, guides, limits)


def _shelf(checkpoint: Checkpoint, limits: Limits) -> Shelf | None:
    if not limits.shelf:
        return None
    name = f"{checkpoint.weights}-{checkpoint.dtype}"
    return Shelf(Path(limits.shelf), name, bound=limits.shelf_bytes)


_OPENING = threading.Lock()


def open_engine(source: Source, limits: Limits) -> Engine:
    """The process's engine for that source and those limits; weights are loaded once for all limits.

    Raises:
        BackendUnavailable: the checkpoint cannot be loaded.
    """
    with _OPENING:
        return _engine(source, limits)


@cache
def _engine(source: Source, limits: Limits) -> Engine:
    return Engine(_checkpoint(source), limits)


@cache
def _checkpoint(source: Source) -> Checkpoint:
    return open_checkpoint(source)

"""One worker thread a model: it alone touches the weights, and every task's requests meet in its batches."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint, Source, open_checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation, Reader
from imagescope_agent.mllms.hosting.encode import Encoder, Prompt
from imagescope_agent.mllms.hosting.guide import Guides
from imagescope_agent.mllms.hosting.network import Network
from imagescope_agent.mllms.hosting.pack import batches, pack, score
from imagescope_agent.mllms.hosting.vision import FeatureCache, Features, Vision
from imagescope_agent.mllms.hosting.work import Inbox, Job, Scored
from imagescope_agent.mllms.hosting.write import Reply, Writer
from imagescope_agent.mllms.protocols import UnusableLabels


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a model works on at once.

    Attributes:
        batch_tokens: tokens of one forward, padding included.
        row_tokens: length up to which questions join one picture's row.
        rows: replies written at the same time.
        questions: questions scored before others get a turn.
        vision_cache: bytes of vision features held in memory.
        share: whether questions about one picture share its prefix.
        linger: seconds an idle worker waits for more requests of the same moment.
    """

    batch_tokens: int = 8192
    row_tokens: int = 1024
    rows: int = 64
    questions: int = 512
    vision_cache: int = 256 * 2**20
    share: bool = True
    linger: float = 0.001


class Engine:
    """A hosted checkpoint of a Qwen-VL format."""

    def __init__(self, checkpoint: Checkpoint, limits: Limits) -> None:
        self.checkpoint = checkpoint
        self.limits = limits
        self.network = Network(checkpoint)
        self.vision = Vision(
            checkpoint, FeatureCache(limits.vision_cache), batch_patches=4 * limits.batch_tokens
        )
        self._encoder = Encoder(checkpoint)
        self._writer = Writer(checkpoint, self.network)
        self._guides = Guides(checkpoint.tokenizer, checkpoint.model.config.get_text_config().vocab_size)
        self._inbox = Inbox()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="imagescope-model", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs; their futures tell the end. Returns at once."""
        self._inbox.put(jobs)

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

    def close(self) -> None:
        """Stop the worker after what it is doing now; what still waits is cancelled."""
        atexit.unregister(self.close)
        with self._inbox.ready:
            self._closing = True
            self._inbox.ready.notify()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        with torch.inference_mode():
            while self._wait():
                if jobs := self._inbox.scores(self.limits.questions):
                    self._guarded(self._score, jobs)
                if jobs := self._inbox.writes(self.limits.rows - len(self._writer)):
                    self._guarded(self._admit, jobs)
                if self._writer:
                    self._guarded(self._step, [reply.job for reply in self._writer.replies])
        for job in [*self._inbox.scores(10**9), *self._inbox.writes(10**9)]:
            job.future.set_exception(RuntimeError("the model was closed"))

    def _wait(self) -> bool:
        with self._inbox.ready:
            idle = not self._inbox and not self._writer
            while not self._closing and not self._inbox and not self._writer:
                self._inbox.ready.wait()
        if idle and not self._closing:
            time.sleep(self.limits.linger)
        return not self._closing

    def _guarded(self, action: Any, jobs: list[Job]) -> None:
        """Whatever goes wrong belongs to those who asked; the worker lives on."""
        try:
            action(jobs)
        except BaseException as error:  # noqa: BLE001 - handed to the callers, who would wait for ever
            self._writer.abandon() if action == self._step else None
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)

    def _prepare(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Prompt], dict[str, Features], list[int]]:
        """The jobs that can be asked, their prompts and features, and how many pictures each brought anew."""
        reader = Reader()
        read: list[tuple[Job, Conversation]] = []
        for job in jobs:
            try:
                read.append((job, reader.read(job.messages)))
            except BadInput as error:
                job.future.set_exception(error)
        pictures = [picture for _, conversation in read for picture in conversation.pictures]
        features, fresh = self.vision.features(pictures)
        unclaimed = set(fresh)
        ready: list[Job] = []
        prompts: list[Prompt] = []
        prefills: list[int] = []
        for job, conversation in read:
            try:
                prompt = self._encoder.encode(
                    conversation, [features[each.key] for each in conversation.pictures]
                )
            except BadInput as error:
                job.future.set_exception(error)
                continue
            mine = unclaimed & set(prompt.pictures)
            unclaimed -= mine
            ready.append(job)
            prompts.append(prompt)
            prefills.append(len(mine))
        return ready, prompts, features, prefills

    def _score(self, jobs: list[Job]) -> None:
        jobs, prompts, features, prefills = self._prepare(jobs)
        rows = pack(prompts, share=self.limits.share, row_tokens=self.limits.row_tokens)
        for batch in batches(rows, batch_tokens=self.limits.batch_tokens):
            hidden, places = score(self.network, batch, features)
            tokens = {branch[1][0]: len(branch[0]) for row in batch for branch in row.branches}
            for row in batch:
                tokens[row.branches[0][1][0]] += row.prefix
            for labels in {jobs[place].labels for answered in places for place in answered}:
                table = self.network.label_logits(hidden, labels or ()).softmax(dim=-1).tolist()
                for probabilities, answered in zip(table, places, strict=True):
                    for place in answered:
                        if jobs[place].labels == labels:
                            jobs[place].future.set_result(
                                Scored(
                                    probabilities=probabilities,
                                    prompt_tokens=tokens.get(place, 0),
                                    image_prefills=prefills[place],
                                )
                            )

    def _admit(self, jobs: list[Job]) -> None:
        jobs, prompts, features, prefills = self._prepare(jobs)
        replies = [
            Reply(
                job=job,
                limit=max(1, min(job.max_tokens, self.checkpoint.context - len(prompt.ids))),
                prompt_tokens=len(prompt.ids),
                image_prefills=fresh,
                guide=None if job.schema is None else self._guides.start(job.schema),
            )
            for job, prompt, fresh in zip(jobs, prompts, prefills, strict=True)
        ]
        if replies:
            self._writer.admit(replies, prompts, features)

    def _step(self, jobs: list[Job]) -> None:
        for reply, written in self._writer.step():
            reply.job.future.set_result(written)


_OPENING = threading.Lock()


def open_engine(source: Source, limits: Limits) -> Engine:
    """The process's engine for that source and those limits; weights are loaded once for all limits.

    Raises:
        BackendUnavailable: the checkpoint cannot be loaded.
    """
    with _OPENING:
        return _engine(source, limits)


@lru_cache(maxsize=None)
def _engine(source: Source, limits: Limits) -> Engine:
    return Engine(_checkpoint(source), limits)


@lru_cache(maxsize=None)
def _checkpoint(source: Source) -> Checkpoint:
    return open_checkpoint(source)

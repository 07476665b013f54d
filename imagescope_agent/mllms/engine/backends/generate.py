"""Generate backend for any other model: plain batches through transformers' own forward and `generate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList
from typing_extensions import override

from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.checkpoint import Checkpoint, to_device
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarCache, GrammarMask
from imagescope_agent.mllms.engine.recovery import out_of_memory_note, prepare_valid, run_splitting
from imagescope_agent.mllms.engine.request_queue import EngineStats, GenerateOutput, Job, ScoreOutput


class GenerateBackend(Backend):
    """Serves a checkpoint from outside: every request brings its own pixels, nothing is shared or cached."""

    def __init__(self, checkpoint: Checkpoint, grammars: GrammarCache, config: EngineConfig) -> None:
        self._checkpoint = checkpoint
        self.grammars = grammars
        self._rows = config.rows
        self._forwards = self._prefills = 0
        where = (
            "on several devices"
            if checkpoint.is_spread
            else f"with {checkpoint.config.attention!r} attention"
        )
        self._unshared = {
            "step": "model",
            "kind": "fallback",
            "detail": f"prefixes cannot be shared in the family {checkpoint.model_type!r} {where}",
        }

    @property
    @override
    def score_slots(self) -> int:  # type: ignore[override]
        return self._rows

    @property
    @override
    def free_slots(self) -> int:
        return self._rows

    @override
    def count_tokens(self, conversation: Conversation) -> int:
        return int(self._checkpoint.prompt_inputs([conversation])["input_ids"].shape[1])

    @override
    def stats(self) -> EngineStats:
        return EngineStats(forwards=self._forwards, tokens=0, image_prefills=self._prefills)

    @override
    def score(self, jobs: list[Job]) -> None:
        self._serve(self.score_batch, jobs, (self._unshared,))

    @override
    def admit(self, jobs: list[Job]) -> list[Job]:
        self._serve(self.generate_batch, jobs, ())  # to the end: nothing is left running
        return []

    def score_batch(self, jobs: Sequence[Job], inputs: dict[str, torch.Tensor]) -> list[ScoreOutput]:
        """Label probabilities of each job after its prompt.

        Args:
            jobs: in the order of the rows.
            inputs: see `inputs`.
        """
        logits = self._checkpoint.model(**inputs, logits_to_keep=1).logits[:, -1].float()
        return [
            ScoreOutput(
                probabilities=row[list(job.labels or ())].softmax(dim=-1).tolist(),
                prompt_tokens=length,
                image_prefills=0,
            )
            for job, row, length in zip(jobs, logits, _lengths(inputs), strict=True)
        ]

    def generate_batch(self, jobs: Sequence[Job], inputs: dict[str, torch.Tensor]) -> list[GenerateOutput]:
        """The replies of all jobs.

        Args:
            jobs: in the order of the rows.
            inputs: see `inputs`.
        """
        start = inputs["input_ids"].shape[1]
        grammars = [None if job.schema is None else self.grammars.start(job.schema) for job in jobs]
        longest = max(job.max_tokens for job in jobs)
        stop_ids = sorted(self._checkpoint.stop_ids)
        output = self._checkpoint.model.generate(
            **inputs,
            max_new_tokens=max(1, min(longest, self._checkpoint.context - start)),
            do_sample=False,
            eos_token_id=stop_ids,
            pad_token_id=self._checkpoint.tokenizer.pad_token_id or 0,
            logits_processor=LogitsProcessorList([_GrammarProcessor(grammars, stop_ids[:1])]),
        )
        rows = output[:, start:].tolist()
        return [
            self._output(job, row, length)
            for job, row, length in zip(jobs, rows, _lengths(inputs), strict=True)
        ]

    def inputs(self, conversations: Sequence[Conversation]) -> dict[str, torch.Tensor]:
        """Model inputs of a batch, by the checkpoint's own processor.

        Raises:
            RequestRefused: an image cannot be decoded, or the processor does not take a conversation.
        """
        inputs = self._checkpoint.prompt_inputs(conversations)
        self._checkpoint.check_length(inputs["input_ids"].shape[1])
        return to_device(self._checkpoint, inputs)

    def _output(self, job: Job, row: list[int], length: int) -> GenerateOutput:
        ends = [index for index, token in enumerate(row) if token in self._checkpoint.stop_ids]
        stop = min([*ends, len(row)])
        ids = row[: min(stop, job.max_tokens)]
        text = str(self._checkpoint.tokenizer.decode(ids, skip_special_tokens=True))
        cut = job.cut(text)
        text = text if cut is None else cut
        if job.on_text is not None and text:
            job.on_text(text)
        ended = bool(ends and stop < job.max_tokens)
        return GenerateOutput(
            text=text,
            finish_reason="stop" if ended or cut is not None else "length",
            prompt_tokens=length,
            completion_tokens=len(ids) + ended,
            image_prefills=0,
        )

    def _serve(
        self,
        serve: Callable[[Sequence[Job], dict[str, torch.Tensor]], Sequence[Any]],
        jobs: list[Job],
        notes: tuple[dict[str, str], ...],
    ) -> None:
        def run(batch: list[Job]) -> None:
            valid, inputs = prepare_valid(batch, self.inputs, key=lambda each: each)
            if inputs is None:
                return
            outputs = serve(valid, inputs)
            self._forwards += 1
            for job, output in zip(valid, outputs, strict=True):
                images = len(job.conversation.images)
                self._prefills += images
                job.future.set_result(replace(output, image_prefills=images, notes=notes))

        def shrink(batch: list[Job]) -> None:
            nonlocal notes
            self._rows = len(batch) // 2
            notes = (*notes, out_of_memory_note(f"batches now hold {self._rows} requests"))

        for _ in run_splitting([jobs] if jobs else [], run, split=_halves, on_split=shrink, unit="question"):
            pass


def _halves(batch: list[Job]) -> list[list[Job]]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]] if middle else []


def _lengths(inputs: dict[str, torch.Tensor]) -> list[int]:
    lengths: list[int] = inputs["attention_mask"].sum(dim=1).tolist()
    return lengths


class _GrammarProcessor(LogitsProcessor):
    """Applies the grammar of every row in `generate`."""

    def __init__(self, grammars: Sequence[GrammarMask | None], end: Sequence[int]) -> None:
        self._grammars = list(grammars)
        self._end = list(end)
        self._first = True

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        first, self._first = self._first, False
        for row, grammar in enumerate(self._grammars):
            if grammar is None:
                continue
            if not first and not grammar.done:
                grammar.advance(int(ids[row, -1]))
            if grammar.done:
                scores[row] = -torch.inf
                scores[row, self._end] = 0.0
            else:
                grammar.apply(scores[row : row + 1])
        return scores

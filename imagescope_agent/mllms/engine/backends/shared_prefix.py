"""Shared-prefix backend: prefix batching for scoring, continuous batching for replies, cached image features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from typing_extensions import override

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.backends.prefix_batching import (
    PackedRow,
    batches,
    forward_rows,
    pack,
    split,
)
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.cache.prefix_cache import PrefixCache, fill
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.decoding.continuous_batching import Decoder
from imagescope_agent.mllms.engine.decoding.generation import Generation
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarCache
from imagescope_agent.mllms.engine.families.base import FamilyAdapter, PreparedBatch, Prompt
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.mllms.engine.recovery import (
    does_not_fit,
    out_of_memory_note,
    prepare_valid,
    run_splitting,
)
from imagescope_agent.mllms.engine.request_queue import EngineStats, Job, ScoreOutput

#: A batch of rows, the hidden states at the ends of its branches, and the prompts each of them answers.
RowsOutput = tuple[list[PackedRow], tuple[torch.Tensor, list[list[int]]]]


class SharedPrefixBackend(Backend):
    """Serves a model family whose attention takes custom masks.

    Attributes:
        family: prepares prompts and image features.
        runner: runs the language model.
    """

    score_slots = 512  # per turn, before others are served

    def __init__(
        self,
        checkpoint: Checkpoint,
        family: FamilyAdapter,
        runner: ModelRunner,
        grammars: GrammarCache,
        config: EngineConfig,
    ) -> None:
        self.family = family
        self.runner = runner
        self._context = checkpoint.context
        self.grammars = grammars
        self._config = config
        self._decoder = Decoder(checkpoint, runner, config.draft_tokens)
        use_prefixes = config.share_prefix and config.prefix_cache
        self._prefixes = PrefixCache(config.prefix_cache) if use_prefixes else None
        self._batch_tokens, self._rows = config.batch_tokens, config.rows

    @property
    @override
    def free_slots(self) -> int:
        return self._rows - len(self._decoder)

    @property
    @override
    def running(self) -> list[Job]:
        return [reply.job for reply in self._decoder.replies]

    @override
    def stats(self) -> EngineStats:
        runner = self.runner
        return EngineStats(
            forwards=runner.forwards,
            tokens=runner.tokens,
            image_prefills=self.family.encoded_images,
            cache_hits=self.family.cache.hits,
        )

    @override
    def count_tokens(self, conversation: Conversation) -> int:
        return self.family.count_tokens(conversation)

    @override
    def abort(self, jobs: list[Job]) -> None:
        if set(map(id, jobs)) & set(map(id, self.running)):
            self._decoder.clear()

    @override
    def clear_caches(self) -> None:
        self.family.cache.clear()
        if self._prefixes:
            self._prefixes.clear()

    @override
    def score(self, jobs: list[Job]) -> None:
        requests, features, prefills = self._prepare(jobs)
        rows = self.pack([prompt for _, prompt in requests])
        if self._prefixes:
            self._prefixes.look_up(rows)
        notes: list[dict[str, str]] = []
        for batch, (hidden, answers) in self.forward(rows, features, self._prefixes, notes):
            self._set_scores(requests, batch, hidden, answers, prefills, tuple(notes))

    def pack(self, prompts: Sequence[Prompt]) -> list[PackedRow]:
        """Rows of prompts, shared as configured."""
        return pack(prompts, share=self._config.share_prefix, row_tokens=self._config.row_tokens)

    def forward(
        self,
        rows: Sequence[PackedRow],
        features: Mapping[str, EncoderOutput],
        prefixes: PrefixCache | None = None,
        notes: list[dict[str, str]] | None = None,
    ) -> Iterator[RowsOutput]:
        """Forward rows in batches, in smaller ones after running out of memory.

        Args:
            rows: to forward.
            features: of their images.
            prefixes: gets their prefixes.
            notes: gets a note about smaller batches.

        Raises:
            UnusableModel: not even one question fits into memory.
        """

        def shrink(_: list[PackedRow]) -> None:
            self._batch_tokens = max(1, self._batch_tokens // 2)
            if notes is not None:
                notes[:] = [
                    out_of_memory_note(f"questions are now asked {self._batch_tokens} tokens at once")
                ]

        return run_splitting(
            batches(rows, batch_tokens=self._batch_tokens),
            partial(self._forward, features=features, prefixes=prefixes),
            split=split,
            on_split=shrink,
            unit="question",
        )

    def _forward(
        self, rows: list[PackedRow], features: Mapping[str, EncoderOutput], prefixes: PrefixCache | None
    ) -> tuple[torch.Tensor, list[list[int]]]:
        if prefixes is None:
            return forward_rows(self.runner, rows, features)
        cache = fill(self.runner.new_cache(), rows)
        output = forward_rows(self.runner, rows, features, cache)
        prefixes.put(rows, cache)
        return output

    def _set_scores(
        self,
        requests: Sequence[tuple[Job, Prompt]],
        rows: Sequence[PackedRow],
        hidden: torch.Tensor,
        answers: Sequence[Sequence[int]],
        prefills: Sequence[int],
        notes: tuple[dict[str, str], ...],
    ) -> None:
        tokens = {indices[0]: len(ids) for row in rows for ids, indices in row.branches}
        for row in rows:
            tokens[row.branches[0][1][0]] += row.prefix
        for labels in {requests[index][0].labels or () for indices in answers for index in indices}:
            table = self.runner.label_logits(hidden, labels).softmax(dim=-1).tolist()
            for probabilities, indices in zip(table, answers, strict=True):
                for index in indices:
                    if requests[index][0].labels == labels:
                        output = ScoreOutput(
                            probabilities=probabilities,
                            prompt_tokens=tokens.get(index, 0),
                            image_prefills=prefills[index],
                            notes=notes,
                        )
                        requests[index][0].future.set_result(output)

    @override
    def admit(self, jobs: list[Job]) -> list[Job]:
        requests, features, prefills = self._prepare(jobs)
        if not requests:
            return []
        replies = [
            Generation(
                job=job,
                max_tokens=max(1, min(job.max_tokens, self._context - len(prompt.ids))),
                prompt_tokens=len(prompt.ids),
                image_prefills=encoded,
                text_ids=prompt.ids[prompt.prefix :].tolist(),
                grammar=None if job.schema is None else self.grammars.start(job.schema),
            )
            for (job, prompt), encoded in zip(requests, prefills, strict=True)
        ]
        try:
            self._decoder.admit(replies, [prompt for _, prompt in requests], features)
        except torch.OutOfMemoryError:
            return self._fewer_rows([job for job, _ in requests], len(requests) + len(self._decoder))
        return []

    @override
    def step(self) -> list[Job]:
        try:
            ended = self._decoder.step()
        except torch.OutOfMemoryError:
            jobs = self.running
            self._decoder.clear()
            return self._fewer_rows(jobs, len(jobs))
        for reply, output in ended:
            reply.job.future.set_result(output)
        return []

    def _fewer_rows(self, jobs: list[Job], rows: int) -> list[Job]:
        """The jobs to start again, after halving the number of rows that did not fit into memory."""
        if rows < 2:
            raise does_not_fit("reply")
        self._rows = rows // 2
        torch.cuda.empty_cache()
        for job in jobs:
            job.notes = (out_of_memory_note(f"replies are now written {self._rows} at once"),)
        return jobs

    def _prepare(
        self, jobs: Sequence[Job]
    ) -> tuple[list[tuple[Job, Prompt]], Mapping[str, EncoderOutput], list[int]]:
        """The valid jobs with their prompts, the image features, and how many images were encoded for each job."""
        valid, prepared = prepare_valid(jobs, self.family.prepare, key=lambda each: each.image_keys)
        requests: list[tuple[Job, Prompt]] = []
        prefills: list[int] = []
        batch = prepared or PreparedBatch(prompts=(), features={}, encoded=frozenset())
        unclaimed = set(batch.encoded)
        for job, prompt in zip(valid, batch.prompts, strict=True):
            if isinstance(prompt, BadInput):
                job.future.set_exception(prompt)
                continue
            claimed = unclaimed & set(prompt.image_keys)
            unclaimed -= claimed
            requests.append((job, prompt))
            prefills.append(len(claimed))
        return requests, batch.features, prefills

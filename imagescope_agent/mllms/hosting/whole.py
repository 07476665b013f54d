"""Any other family, through transformers' own forward and generate: plain batches, nothing shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation
from imagescope_agent.mllms.hosting.desk import STEP, counts, halved
from imagescope_agent.mllms.hosting.guide import Guide, Guides
from imagescope_agent.mllms.hosting.limits import Limits
from imagescope_agent.mllms.hosting.prompt import chat, control_tokens
from imagescope_agent.mllms.hosting.work import Counted, Job, Scored, Written


class Whole:
    """A checkpoint used from outside only: every request brings its own pixels."""

    def __init__(self, checkpoint: Checkpoint, guides: Guides) -> None:
        self._checkpoint = checkpoint
        self._guides = guides
        self.family, self.attention = checkpoint.family, checkpoint.source.attention
        self._special = control_tokens(checkpoint.tokenizer)
        self.forwards = 0
        self.prefills = 0

    def score(self, jobs: Sequence[Job], conversations: Sequence[Conversation]) -> list[Scored]:
        """Probabilities of each job's labels after its conversation."""
        inputs = self._inputs(conversations)
        self.forwards += 1
        logits = self._checkpoint.model(**inputs, logits_to_keep=1).logits[:, -1].float()
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            Scored(
                probabilities=row[list(job.labels or ())].softmax(dim=-1).tolist(),
                prompt_tokens=length,
                image_prefills=len(conversation.pictures),
            )
            for job, row, length, conversation in zip(jobs, logits, lengths, conversations, strict=True)
        ]

    def write(self, jobs: Sequence[Job], conversations: Sequence[Conversation]) -> list[Written]:
        """Replies of all jobs, written together."""
        inputs = self._inputs(conversations)
        start = inputs["input_ids"].shape[1]
        guides = [None if job.schema is None else self._guides.start(job.schema) for job in jobs]
        longest = max(job.max_tokens for job in jobs)
        self.forwards += 1
        made = self._checkpoint.model.generate(
            **inputs,
            max_new_tokens=max(1, min(longest, self._checkpoint.context - start)),
            do_sample=False,
            eos_token_id=sorted(self._checkpoint.stop_ids),
            pad_token_id=self._checkpoint.tokenizer.pad_token_id or 0,
            logits_processor=LogitsProcessorList([_Held(guides, sorted(self._checkpoint.stop_ids)[:1])]),
        )
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            self._written(job, row, length, conversation)
            for job, row, length, conversation in zip(
                jobs, made[:, start:].tolist(), lengths, conversations, strict=True
            )
        ]

    def count(self, conversation: Conversation) -> int:
        """Tokens of the prompt."""
        images = [picture.pixels() for picture in conversation.pictures]
        made = self._checkpoint.apply_template([chat(conversation.turns, images, self._special)], [images])
        return int(made["input_ids"].shape[1])

    def _inputs(self, conversations: Sequence[Conversation]) -> Any:
        images = [[picture.pixels() for picture in each.pictures] for each in conversations]
        chats = [
            chat(each.turns, shown, self._special) for each, shown in zip(conversations, images, strict=True)
        ]
        inputs = self._checkpoint.apply_template(chats, images)
        self._checkpoint.check_length(inputs["input_ids"].shape[1])
        self.prefills += sum(map(len, images))
        device, dtype = self._checkpoint.device, self._checkpoint.dtype
        return {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }

    def _written(self, job: Job, row: list[int], length: int, conversation: Conversation) -> Written:
        ends = [place for place, token in enumerate(row) if token in self._checkpoint.stop_ids]
        stop = min([*ends, len(row)])
        ids = row[: min(stop, job.max_tokens)]
        text = str(self._checkpoint.tokenizer.decode(ids, skip_special_tokens=True))
        found = [at for each in job.stop if (at := text.find(each)) >= 0]
        text = text[: min(found)] if found else text
        if job.on_text is not None and text:
            job.on_text(text)
        finished = bool(ends and stop < job.max_tokens) or bool(found)
        return Written(
            text=text,
            finish="stop" if finished else "length",
            prompt_tokens=length,
            completion_tokens=len(ids) + bool(ends and stop < job.max_tokens),
            image_prefills=len(conversation.pictures),
        )


class WholeDesk:
    """Plain batches through transformers' own forward and generate."""

    def __init__(self, whole: Whole, limits: Limits) -> None:
        self.whole = whole
        self._rows = limits.rows
        self._noted = {
            "step": STEP,
            "kind": "fallback",
            "detail": f"prefixes cannot be shared in the family {whole.family!r} with {whole.attention!r} attention",
        }

    @property
    def questions(self) -> int:
        """How many jobs `score` takes at once."""
        return self._rows

    @property
    def room(self) -> int:
        """How many jobs `admit` takes."""
        return self._rows

    @property
    def writing(self) -> list[Job]:
        """None: `admit` writes to the end."""
        return []

    def count(self, conversations: list[Conversation]) -> list[int]:
        """Tokens of each prompt, pictures included, 0 where it will be refused; nothing passes the model."""
        return counts(self.whole.count, conversations)

    def counted(self) -> Counted:
        """What was done so far."""
        return Counted(forwards=self.whole.forwards, tokens=0, image_prefills=self.whole.prefills)

    def forget(self, jobs: list[Job]) -> None:
        """Nothing is held between batches."""

    def forget_features(self) -> None:
        """None are held."""

    def score(self, jobs: list[Job], conversations: list[Conversation]) -> None:
        """Probabilities for all jobs, with the note that nothing was shared."""
        self._serve(self.whole.score, jobs, conversations, (self._noted,))

    def admit(self, jobs: list[Job], conversations: list[Conversation]) -> list[Job]:
        """Write the replies to the end."""
        self._serve(self.whole.write, jobs, conversations, ())
        return []

    def step(self) -> list[Job]:
        """Nothing to go on with."""
        return []

    def _serve(
        self,
        serve: Callable[[Sequence[Job], Sequence[Conversation]], Sequence[Any]],
        jobs: list[Job],
        conversations: list[Conversation],
        notes: tuple[dict[str, str], ...],
    ) -> None:
        if not jobs:
            return
        try:
            results = serve(jobs, conversations)
        except BadInput:
            if len(jobs) == 1:
                raise
            for job, conversation in zip(jobs, conversations, strict=True):
                try:
                    self._serve(serve, [job], [conversation], notes)
                except BadInput as error:
                    job.future.set_exception(error)
            return
        except torch.OutOfMemoryError as error:
            if len(jobs) == 1:
                raise BackendUnavailable(
                    "not even one question fits into memory; use a smaller model"
                ) from error
            middle = self._rows = len(jobs) // 2
            notes = (*notes, halved(f"batches now hold {middle} requests"))
            self._serve(serve, jobs[:middle], conversations[:middle], notes)
            self._serve(serve, jobs[middle:], conversations[middle:], notes)
            return
        for job, result in zip(jobs, results, strict=True):
            job.future.set_result(replace(result, notes=(*result.notes, *notes)))


class _Held(LogitsProcessor):
    """Every row's guide, in generate's loop."""

    def __init__(self, guides: Sequence[Guide | None], end: Sequence[int]) -> None:
        self._guides = list(guides)
        self._end = list(end)
        self._seen: int | None = None

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        first, self._seen = self._seen is None, ids.shape[1]
        for row, guide in enumerate(self._guides):
            if guide is None:
                continue
            if not first and not guide.done:
                guide.take(int(ids[row, -1]))
            if guide.done:
                scores[row] = -torch.inf
                scores[row, self._end] = 0.0
            else:
                guide.forbid(scores[row])
        return scores

"""Writing replies: rows join and leave one running batch, so short replies never wait for long ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.cache.kv_cache import closed_up, running
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.mllms.engine.prompt import Prompt
from imagescope_agent.mllms.engine.request_queue import GenerateOutput, Job
from imagescope_agent.mllms.engine.structured_output import GrammarMask


@dataclass(kw_only=True, eq=False)
class Generation:
    """A reply being written."""

    job: Job
    limit: int
    prompt_tokens: int
    image_prefills: int
    guide: GrammarMask | None = None
    ids: list[int] = field(default_factory=list)


class Decoder:
    """The running batch: greedy decoding with keys and values kept, left-padded."""

    def __init__(self, checkpoint: Checkpoint, network: ModelRunner) -> None:
        self._tokenizer = checkpoint.tokenizer
        self._stop_ids = checkpoint.stop_ids
        self._context = checkpoint.context
        self._network = network
        self._clear()

    def __len__(self) -> int:
        return len(self.replies)

    def _clear(self) -> None:
        self.replies: list[Generation] = []
        self._cache: Any = None
        self._valid = self._after = self._logits = torch.empty(0)

    def admit(
        self, replies: Sequence[Generation], prompts: Sequence[Prompt], features: Mapping[str, EncoderOutput]
    ) -> None:
        """Read the prompts in one forward and let their replies join the batch."""
        cache = self._network.new_cache()
        valid, after, logits = self._prefill(prompts, features, cache)
        if self.replies:
            valid, self._valid = _same_length(valid, self._valid)
            for layer, new in zip(self._cache.layers, cache.layers, strict=True):
                layer.join(new.keys, new.values)
            valid = torch.cat([self._valid, valid])
            after, logits = torch.cat([self._after, after]), torch.cat([self._logits, logits])
        else:
            self._cache = running(cache)
        self._valid, self._after, self._logits = valid, after, logits
        self.replies = [*self.replies, *replies]

    def step(self) -> list[tuple[Generation, GenerateOutput]]:
        """One more token for every reply; those that ended, in the order of their rows."""
        ended: list[tuple[Generation, GenerateOutput]] = []
        rows: list[int] = []
        tokens = self._choose()
        for row, (reply, token) in enumerate(zip(self.replies, tokens, strict=True)):
            if (written := self._take(reply, token)) is None:
                rows.append(row)
            else:
                ended.append((reply, written))
        if not rows:
            self._clear()
            return ended
        if ended:
            order = closed_up(rows)
            self._keep(order)
            tokens = [tokens[row] for row in order]
        self._forward(tokens)
        return ended

    def abandon(self) -> list[Generation]:
        """Let go of the whole batch; the replies that were being written."""
        replies = self.replies
        self._clear()
        return replies

    def _prefill(
        self, prompts: Sequence[Prompt], features: Mapping[str, EncoderOutput], cache: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        length = max(len(prompt.ids) for prompt in prompts)
        ids = np.full((len(prompts), length), self._network.pad, dtype=np.int64)
        positions = np.zeros((self._network.axes, len(prompts), length), dtype=np.int64)
        valid = np.zeros((len(prompts), length), dtype=bool)
        for row, prompt in enumerate(prompts):
            start = length - len(prompt.ids)
            ids[row, start:], positions[:, row, start:], valid[row, start:] = (
                prompt.ids,
                prompt.positions,
                True,
            )
        held = self._network.tensor(valid)
        hidden = self._network.hidden(
            self._network.tensor(ids),
            self._network.tensor(positions),
            causal_mask(held),
            [features[key] for prompt in prompts for key in prompt.pictures],
            cache,
            read=_ends(held),
        )
        after = self._network.tensor(np.asarray([prompt.after for prompt in prompts]))
        return held, after, self._network.logits(hidden)

    def _forward(self, tokens: Sequence[int]) -> None:
        rows = len(tokens)
        self._valid = torch.nn.functional.pad(self._valid, (0, 1), value=True)
        hidden = self._network.hidden(
            self._network.tensor(np.asarray(tokens, dtype=np.int64)).view(rows, 1),
            self._after.view(1, rows, 1).expand(self._network.axes, rows, 1),
            self._valid[:, None, None],
            cache=self._cache,
            read=_ends(self._valid[:, :1]),
        )
        self._after = self._after + 1
        self._logits = self._network.logits(hidden)

    def _choose(self) -> list[int]:
        for row, reply in enumerate(self.replies):
            if reply.guide is not None:
                reply.guide.forbid(self._logits[row])
        chosen: list[int] = self._logits.argmax(dim=-1).tolist()
        return chosen

    def _take(self, reply: Generation, token: int) -> GenerateOutput | None:
        """The finished reply if this token ends it."""
        stopped = token in self._stop_ids
        if not stopped:
            reply.ids.append(token)
            if reply.guide is not None:
                stopped = reply.guide.take(token)
        cut = self._stream(reply, last=stopped or len(reply.ids) >= reply.limit)
        if not stopped and cut is None and len(reply.ids) < reply.limit:
            return None
        text = self._text(reply.ids) if cut is None else cut
        return GenerateOutput(
            text=text,
            finish="length" if not stopped and cut is None else "stop",
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=len(reply.ids) + (token in self._stop_ids),
            image_prefills=reply.image_prefills,
            notes=reply.job.notes,
        )

    def _stream(self, reply: Generation, *, last: bool) -> str | None:
        """Hand on what is new; the text before a stop text when one has appeared."""
        job = reply.job
        if job.on_text is None and not job.stop:
            return None
        text = self._text(reply.ids)
        found = [at for stop in job.stop if (at := text.find(stop)) >= 0]
        cut = text[: min(found)] if found else None
        if job.on_text is not None:
            shown = text if cut is None else cut
            if not (last or found):
                # a stop text or a character may have begun and not ended
                shown = shown[: len(shown) - max((len(stop) - 1 for stop in job.stop), default=0)].rstrip(
                    "\ufffd"
                )
            if len(shown) > job.sent:
                job.on_text(shown[job.sent :])
                job.sent = len(shown)
        return cut

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _keep(self, rows: Sequence[int]) -> None:
        index = torch.tensor(rows, device=self._valid.device)
        self.replies = [self.replies[row] for row in rows]
        self._valid, self._after = self._valid[index], self._after[index]
        seen = self._valid.any(dim=0)
        empty = int(seen.int().argmax())  # columns that only the rows that left had filled
        self._valid = self._valid[:, empty:]
        for layer in self._cache.layers:
            layer.keep(rows, empty)


def causal_mask(valid: torch.Tensor) -> torch.Tensor:
    """Who attends to whom in left-padded rows: (batch, length) bool to (batch, 1, length, length)."""
    length = valid.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril() & valid[:, None, :]
    return (seen | torch.eye(length, dtype=torch.bool, device=valid.device))[:, None]


def _ends(tokens: torch.Tensor) -> torch.Tensor:
    """The last place of every row of (batch, length): (2, batch)."""
    rows, length = tokens.shape
    row = torch.arange(rows, device=tokens.device)
    return torch.stack([row, torch.full_like(row, length - 1)])


def _same_length(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(first.shape[1], second.shape[1])
    return tuple(
        torch.nn.functional.pad(each, (length - each.shape[1], 0), value=False) for each in (first, second)
    )  # type: ignore[return-value]

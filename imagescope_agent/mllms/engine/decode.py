"""Continuous batching for greedy decoding: rows join and leave one running batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.cache.kv_cache import compact_order, make_appendable
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.families.base import Prompt
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.mllms.engine.request_queue import GenerateOutput, Job
from imagescope_agent.mllms.engine.structured_output import GrammarMask


@dataclass(kw_only=True, eq=False)
class Generation:
    """A running reply.

    Attributes:
        job: that asked for it.
        max_tokens: longest reply that the context has room for.
        prompt_tokens: of its prompt.
        image_prefills: images of its prompt that were encoded for it.
        grammar: mask of its schema, None without one.
        ids: tokens so far.
    """

    job: Job
    max_tokens: int
    prompt_tokens: int
    image_prefills: int
    grammar: GrammarMask | None = None
    ids: list[int] = field(default_factory=list)


class Decoder:
    """The running batch, left-padded, with its KV cache.

    Attributes:
        replies: of the rows, in their order.
    """

    def __init__(self, checkpoint: Checkpoint, runner: ModelRunner) -> None:
        self._tokenizer = checkpoint.tokenizer
        self._stop_ids = checkpoint.stop_ids
        self._runner = runner
        self.clear()

    def __len__(self) -> int:
        return len(self.replies)

    def clear(self) -> None:
        """Drop all running replies."""
        self.replies: list[Generation] = []
        self._cache: Any = None
        self._valid = self._positions = self._logits = torch.empty(0)

    def admit(
        self, replies: Sequence[Generation], prompts: Sequence[Prompt], features: Mapping[str, EncoderOutput]
    ) -> None:
        """Prefill the prompts in one forward and add their rows to the batch."""
        cache = self._runner.new_cache()
        valid, positions, logits = self._prefill(prompts, features, cache)
        if self.replies:
            valid, self._valid = _same_length(valid, self._valid)
            for layer, new in zip(self._cache.layers, cache.layers, strict=True):
                layer.join(new.keys, new.values)
            valid = torch.cat([self._valid, valid])
            positions, logits = torch.cat([self._positions, positions]), torch.cat([self._logits, logits])
        else:
            self._cache = make_appendable(cache)
        self._valid, self._positions, self._logits = valid, positions, logits
        self.replies = [*self.replies, *replies]

    def step(self) -> list[tuple[Generation, GenerateOutput]]:
        """Decode one token of every reply; returns those that ended, in the order of their rows."""
        ended: list[tuple[Generation, GenerateOutput]] = []
        rows: list[int] = []
        tokens = self._choose()
        for row, (reply, token) in enumerate(zip(self.replies, tokens, strict=True)):
            if (output := self._append(reply, token)) is None:
                rows.append(row)
            else:
                ended.append((reply, output))
        if not rows:
            self.clear()
            return ended
        if ended:
            order = compact_order(rows)
            self._keep(order)
            tokens = [tokens[row] for row in order]
        self._forward(tokens)
        return ended

    def _prefill(
        self, prompts: Sequence[Prompt], features: Mapping[str, EncoderOutput], cache: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        length = max(len(prompt.ids) for prompt in prompts)
        ids = np.full((len(prompts), length), self._runner.pad, dtype=np.int64)
        positions = np.zeros((self._runner.axes, len(prompts), length), dtype=np.int64)
        valid = np.zeros((len(prompts), length), dtype=bool)
        for row, prompt in enumerate(prompts):
            start = length - len(prompt.ids)
            ids[row, start:], positions[:, row, start:] = prompt.ids, prompt.positions
            valid[row, start:] = True
        mask = self._runner.tensor(valid)
        hidden = self._runner.hidden(
            self._runner.tensor(ids),
            self._runner.tensor(positions),
            causal_mask(mask),
            [features[key] for prompt in prompts for key in prompt.image_keys],
            cache,
            read=_ends(mask),
        )
        following = self._runner.tensor(np.asarray([prompt.next_position for prompt in prompts]))
        return mask, following, self._runner.logits(hidden)

    def _forward(self, tokens: Sequence[int]) -> None:
        rows = len(tokens)
        self._valid = torch.nn.functional.pad(self._valid, (0, 1), value=True)
        hidden = self._runner.hidden(
            self._runner.tensor(np.asarray(tokens, dtype=np.int64)).view(rows, 1),
            self._positions.view(1, rows, 1).expand(self._runner.axes, rows, 1),
            self._valid[:, None, None],
            cache=self._cache,
            read=_ends(self._valid[:, :1]),
        )
        self._positions = self._positions + 1
        self._logits = self._runner.logits(hidden)

    def _choose(self) -> list[int]:
        for row, reply in enumerate(self.replies):
            if reply.grammar is not None:
                reply.grammar.apply(self._logits[row])
        chosen: list[int] = self._logits.argmax(dim=-1).tolist()
        return chosen

    def _append(self, reply: Generation, token: int) -> GenerateOutput | None:
        """Append a token; returns the output if it ends the reply."""
        stopped = token in self._stop_ids
        if not stopped:
            reply.ids.append(token)
            if reply.grammar is not None:
                stopped = reply.grammar.advance(token)
        cut = self._stream(reply, last=stopped or len(reply.ids) >= reply.max_tokens)
        if not stopped and cut is None and len(reply.ids) < reply.max_tokens:
            return None
        text = self._text(reply.ids) if cut is None else cut
        return GenerateOutput(
            text=text,
            finish_reason="length" if not stopped and cut is None else "stop",
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=len(reply.ids) + (token in self._stop_ids),
            image_prefills=reply.image_prefills,
            notes=reply.job.notes,
        )

    def _stream(self, reply: Generation, *, last: bool) -> str | None:
        """Pass new text to `on_text`; returns the text before a stop text once one has appeared."""
        job = reply.job
        if job.on_text is None and not job.stop:
            return None
        text = self._text(reply.ids)
        cut = job.cut(text)
        if job.on_text is not None:
            shown = text if cut is None else cut
            if not last and cut is None:
                # hold back what may be the beginning of a stop text or part of a character
                held = max((len(stop) - 1 for stop in job.stop), default=0)
                shown = shown[: len(shown) - held].rstrip("\ufffd")
            if len(shown) > job.streamed:
                job.on_text(shown[job.streamed :])
                job.streamed = len(shown)
        return cut

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _keep(self, rows: Sequence[int]) -> None:
        index = torch.tensor(rows, device=self._valid.device)
        self.replies = [self.replies[row] for row in rows]
        self._valid, self._positions = self._valid[index], self._positions[index]
        seen = self._valid.any(dim=0)
        empty = int(seen.int().argmax())  # columns that only removed rows had filled
        self._valid = self._valid[:, empty:]
        for layer in self._cache.layers:
            layer.keep(rows, empty)


def causal_mask(valid: torch.Tensor) -> torch.Tensor:
    """Causal attention mask of left-padded rows: (batch, length) bool to (batch, 1, length, length)."""
    length = valid.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril() & valid[:, None, :]
    return (seen | torch.eye(length, dtype=torch.bool, device=valid.device))[:, None]


def _ends(tokens: torch.Tensor) -> torch.Tensor:
    """Row and index of the last token of every row of (batch, length): (2, batch)."""
    rows, length = tokens.shape
    row = torch.arange(rows, device=tokens.device)
    return torch.stack([row, torch.full_like(row, length - 1)])


def _same_length(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(first.shape[1], second.shape[1])
    return tuple(
        torch.nn.functional.pad(each, (length - each.shape[1], 0), value=False) for each in (first, second)
    )  # type: ignore[return-value]

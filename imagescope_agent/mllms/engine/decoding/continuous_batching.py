"""Continuous batching for greedy decoding: rows join and leave one running batch, next tokens are guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.cache.kv_cache import SPARE, compact_order, make_appendable
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.decoding.generation import Generation
from imagescope_agent.mllms.engine.decoding.speculation import ReplyHistory
from imagescope_agent.mllms.engine.families.base import Prompt
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.mllms.engine.request_queue import GenerateOutput


class Decoder:
    """The running batch, left-padded, with its KV cache.

    Tokens of a draft that were not chosen stay in the cache behind the mask; where all rows have such tokens at their
    end these are dropped, and where they make up much of the cache it is packed anew. Which tokens count is kept in
    NumPy: for so few numbers a tensor's operations take longer than the work.

    Args:
        checkpoint: whose tokenizer and stop tokens count.
        runner: of its model.
        draft_tokens: see `EngineConfig`.

    Attributes:
        replies: of the rows, in their order.
    """

    def __init__(self, checkpoint: Checkpoint, runner: ModelRunner, draft_tokens: int = 0) -> None:
        self._draft_tokens, self._history = draft_tokens, ReplyHistory()
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
        self._valid = np.zeros((0, 0), dtype=bool)
        self._positions = np.zeros(0, dtype=np.int64)
        self._logits = torch.empty(0)

    def admit(
        self, replies: Sequence[Generation], prompts: Sequence[Prompt], features: Mapping[str, EncoderOutput]
    ) -> None:
        """Prefill the prompts, and what may come after them, in one forward and add their rows to the batch."""
        cache = self._runner.new_cache()
        most = self._draft_tokens // (len(self.replies) + len(replies)) - 1
        for reply in replies:
            # the prompt's features take the places of image tokens, and a reply may have had one
            guessed = takewhile(
                lambda token: token != self._runner.image_token, reply.guess(self._history, most)
            )
            reply.draft = list(guessed)
            reply.drafted = len(reply.draft)
        valid, positions, logits = self._prefill(replies, prompts, features, cache)
        if self.replies:
            valid, self._valid = _same_length(valid, self._valid)
            for layer, new in zip(self._cache.layers, cache.layers, strict=True):
                layer.join(new.keys, new.values)
            valid = np.concatenate([self._valid, valid])
            positions = np.concatenate([self._positions, positions])
            logits = torch.cat([self._logits, logits])
        else:
            self._cache = make_appendable(cache)
        self._valid, self._positions, self._logits = valid, positions, logits
        self.replies = [*self.replies, *replies]

    def step(self) -> list[tuple[Generation, GenerateOutput]]:
        """Decode the next tokens of every reply, at least one; returns those that ended, in the order of their rows."""
        ended: list[tuple[Generation, GenerateOutput]] = []
        rows: list[int] = []
        kept: list[int] = []
        for row, (reply, tokens) in enumerate(zip(self.replies, self._choose(), strict=True)):
            right, output = self._accept(reply, tokens)
            kept.append(right)
            if output is None:
                rows.append(row)
            else:
                ended.append((reply, output))
                if self._draft_tokens:
                    self._history.add(reply.job.schema, reply.ids)
        if not rows:
            self.clear()
            return ended
        drafted = any(reply.drafted for reply in self.replies)
        if drafted:
            self._discard(kept)
        if ended:
            self._keep(compact_order(rows))
        if drafted:
            self._drop_discarded()
        self._forward(self._drafts())
        return ended

    def _prefill(
        self,
        replies: Sequence[Generation],
        prompts: Sequence[Prompt],
        features: Mapping[str, EncoderOutput],
        cache: Any,
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], torch.Tensor]:
        length = max(len(prompt.ids) + reply.drafted for prompt, reply in zip(prompts, replies, strict=True))
        ids = np.full((len(prompts), length), self._runner.pad, dtype=np.int64)
        positions = np.zeros((self._runner.axes, len(prompts), length), dtype=np.int64)
        valid = np.zeros((len(prompts), length), dtype=bool)
        read = np.zeros_like(valid)
        for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
            end = length - reply.drafted
            start = end - len(prompt.ids)
            ids[row, start:end], positions[:, row, start:end] = prompt.ids, prompt.positions
            ids[row, end:] = reply.draft
            positions[:, row, end:] = prompt.next_position + np.arange(reply.drafted)
            valid[row, start:] = read[row, end - 1 :] = True
        hidden = self._runner.hidden(
            self._runner.tensor(ids),
            self._runner.tensor(positions),
            causal_mask(self._runner.tensor(valid)),
            [features[key] for prompt in prompts for key in prompt.image_keys],
            cache,
            read=self._runner.tensor(np.stack(read.nonzero())),
        )
        following = np.asarray([prompt.next_position for prompt in prompts], dtype=np.int64)
        return valid, following, self._runner.logits(hidden)

    def _drafts(self) -> list[list[int]]:
        """For each row, the tokens that may follow its last one."""
        most = self._draft_tokens // len(self.replies) - 1
        return [reply.guess(self._history, most) for reply in self.replies]

    def _forward(self, drafts: Sequence[list[int]]) -> None:
        """Forward the last token of every row and the tokens after it."""
        rows, width = len(drafts), 1 + max(map(len, drafts))
        ids = np.full((rows, width), self._runner.pad, dtype=np.int64)
        valid = np.zeros((rows, width), dtype=bool)
        for row, (reply, draft) in enumerate(zip(self.replies, drafts, strict=True)):
            reply.draft, reply.drafted = draft, width - 1
            ids[row, : 1 + len(draft)] = [reply.ids[-1], *draft]
            valid[row, : 1 + len(draft)] = True
        mask = np.empty((rows, 1, width, self._valid.shape[1] + width), dtype=bool)
        mask[..., :-width] = self._valid[:, None, None]
        mask[..., -width:] = valid[:, None, None] & np.tri(width, dtype=bool)
        positions = self._positions[:, None] + np.arange(width)
        self._valid = np.concatenate([self._valid, valid], axis=1)
        self._positions = self._positions + 1
        hidden = self._runner.hidden(
            self._runner.tensor(ids),
            self._runner.tensor(np.tile(positions, (self._runner.axes, 1, 1))),
            self._runner.tensor(mask),
            cache=self._cache,
            read=self._runner.tensor(np.stack(valid.nonzero())),
        )
        self._logits = self._runner.logits(hidden)

    def _choose(self) -> list[list[int]]:
        """For each row, the tokens chosen after the reply and after each token of its draft that is right."""
        ends = list(accumulate(1 + len(reply.draft) for reply in self.replies))
        starts = [0, *ends[:-1]]
        best: list[int] = self._logits.argmax(dim=-1).tolist()
        return [
            best[start:end]
            if reply.grammar is None
            else reply.grammar.choose(self._logits[start:end], best[start:end], reply.draft)
            for reply, start, end in zip(self.replies, starts, ends, strict=True)
        ]

    def _accept(self, reply: Generation, tokens: Sequence[int]) -> tuple[int, GenerateOutput | None]:
        """Append tokens up to the first that the draft did not foresee.

        Returns:
            How many tokens of the draft were right, and the output once a token ends the reply.
        """
        for kept, token in enumerate(tokens):
            output = self._append(reply, token)
            if output is not None or kept == len(reply.draft) or reply.draft[kept] != token:
                break
        return kept, output

    def _append(self, reply: Generation, token: int) -> GenerateOutput | None:
        """Append a token; returns the output if it ends the reply."""
        stopped = token in self._stop_ids
        if not stopped:
            reply.ids.append(token)
            if reply.lookup is not None:
                reply.lookup.extend((token,))
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
        index = np.asarray(rows)
        self.replies = [self.replies[row] for row in rows]
        self._valid, self._positions = self._valid[index], self._positions[index]
        empty = int(np.flatnonzero(self._valid.any(axis=0))[0])  # columns that only removed rows had filled
        self._valid = self._valid[:, empty:]
        for layer in self._cache.layers:
            layer.keep(rows, empty)

    def _discard(self, kept: Sequence[int]) -> None:
        """Hide the tokens of the drafts after the first `kept` of each row."""
        right = np.asarray(kept)
        wrong = np.asarray([reply.drafted for reply in self.replies]) - right
        from_end = np.arange(self._valid.shape[1], 0, -1)
        self._valid = self._valid & (from_end > wrong[:, None])
        self._positions = self._positions + right

    def _drop_discarded(self) -> None:
        """Drop columns at the end that no row needs; pack the rows where many columns are of no use to any of them."""
        length, longest = self._valid.shape[1], int(self._valid.sum(axis=1).max())
        if empty := length - 1 - int(np.flatnonzero(self._valid.any(axis=0))[-1]):
            self._valid = self._valid[:, : length - empty]
            for layer in self._cache.layers:
                layer.crop(empty)
        if length - empty > longest + SPARE:
            index = self._valid.argsort(axis=1, kind="stable")[:, -longest:]
            self._valid = np.take_along_axis(self._valid, index, axis=1)
            for layer in self._cache.layers:
                layer.select(self._runner.tensor(index))


def causal_mask(valid: torch.Tensor) -> torch.Tensor:
    """Causal attention mask of left-padded rows: (batch, length) bool to (batch, 1, length, length)."""
    length = valid.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril() & valid[:, None, :]
    return (seen | torch.eye(length, dtype=torch.bool, device=valid.device))[:, None]


def _same_length(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    length = max(first.shape[1], second.shape[1])
    return tuple(np.pad(each, [(0, 0), (length - each.shape[1], 0)]) for each in (first, second))  # type: ignore[return-value]

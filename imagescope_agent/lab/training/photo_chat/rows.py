"""Rows of a step: all that is asked about a photo behind one picture, as branches that do not see each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imagescope_agent.mllms.engine.chat_template import escape_control_tokens
from imagescope_agent.photo_chat.language import IMAGE_TOKEN

MOST = 160  # tokens of a text
NOTHING = -100


@dataclass(kw_only=True)
class Row:
    """Tokens of a row.

    Attributes:
        ids: token ids.
        targets: what is to follow each, `NOTHING` where that is not taught.
        weights: how much each target counts.
        positions: of the tokens.
        branches: number of each token's branch.
        seen: by branch, the branches that it sees.
        photo: whether the row begins with a picture.
    """

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    seen: list[set[int]] = field(default_factory=list)
    photo: bool = False

    def add(
        self, ids: Sequence[int], *, after: int | None, answer: Sequence[int] = (), weight: float = 1.0
    ) -> int:
        """Add a branch and return its number.

        Args:
            ids: its tokens.
            after: branch that it follows; None where it begins a conversation.
            answer: tokens that are taught to follow the last of `ids`.
            weight: of the answer, divided among its tokens.
        """
        start = (
            0
            if after is None
            else 1 + max(p for p, b in zip(self.positions, self.branches, strict=True) if b == after)
        )
        number = len(self.seen)
        self.seen.append({number} | (self.seen[after] if after is not None else set()))
        tokens = [*ids, *answer[:-1]]
        self.ids += tokens
        self.targets += [NOTHING] * (len(tokens) - len(answer)) + [*answer]
        self.weights += [weight / max(1, len(answer))] * len(tokens)
        self.positions += range(start, start + len(tokens))
        self.branches += [number] * len(tokens)
        return number


class Writer:
    """Writes conversations as the chat template does.

    Args:
        tokenizer: of the language model, with its template.
        cells: tokens of a picture.
    """

    def __init__(self, tokenizer: Any, cells: int) -> None:
        self.tokenizer, self.cells = tokenizer, cells
        self.image = int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
        self.opening, self.middle, self.end = (
            self._ids("<|im_start|>user\n"),
            self._ids("<|im_end|>\n<|im_start|>assistant\n"),
            self._ids("<|im_end|>"),
        )
        self.special = [str(token) for token in tokenizer.all_special_tokens]

    def photo(self) -> Row:
        """A row that begins with a picture, which is branch 0."""
        row = Row(photo=True)
        row.add([*self.opening, *[self.image] * self.cells], after=None)
        return row

    def ask(self, row: Row, question: str, answers: Sequence[str], *, end: bool, weight: float) -> None:
        """A question about the picture, or without one in an empty row, and one or several answers to it.

        Args:
            row: where.
            question: what is asked.
            answers: each is taught alone.
            end: whether the end of the answer is taught, too.
            weight: of each answer.
        """
        prompt = [*(() if row.photo else self.opening), *self.text(question), *self.middle]
        told = [[*self.text(answer), *(self.end if end else ())] for answer in answers]
        above = 0 if row.photo else None
        if len(told) == 1:
            row.add(prompt, after=above, answer=told[0], weight=weight)
            return
        shared = row.add(prompt[:-1], after=above)
        for answer in told:
            row.add(prompt[-1:], after=shared, answer=answer, weight=weight)

    def text(self, text: str) -> list[int]:
        """Tokens of what somebody wrote."""
        return self._ids(escape_control_tokens(text, self.special))[:MOST]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Padded rows as tensors: ids, targets, weights, positions (rows, length), and bias (rows, 1, length, length)."""

    ids: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    positions: torch.Tensor
    bias: torch.Tensor


def batch_rows(rows: Sequence[Row], dtype: torch.dtype) -> Batch:
    """Rows as tensors; what is beyond a row's end sees only itself."""
    length = max(len(row.ids) for row in rows)

    def padded(values: Sequence[Any], fill: float) -> npt.NDArray[Any]:
        return np.array([*values, *[fill] * (length - len(values))])

    bias = torch.full((len(rows), 1, length, length), -torch.inf, dtype=dtype)
    for number, row in enumerate(rows):
        bias[number, 0][torch.from_numpy(_mask(row, length))] = 0
    tensors = [
        torch.from_numpy(np.stack([padded(getattr(row, name), fill) for row in rows]))
        for name, fill in (("ids", 0), ("targets", NOTHING), ("weights", 0.0), ("positions", 0))
    ]
    ids, targets, weights, positions = tensors
    return Batch(
        ids=ids.long(), targets=targets.long(), weights=weights.float(), positions=positions.long(), bias=bias
    )


def _mask(row: Row, length: int) -> npt.NDArray[np.bool_]:
    seen = np.zeros((len(row.seen),) * 2, dtype=bool)
    for branch, others in enumerate(row.seen):
        seen[branch, sorted(others)] = True
    branches = np.array(row.branches)
    mask = np.eye(length, dtype=bool)
    size = len(branches)
    mask[:size, :size] = seen[branches[:, None], branches[None]] & np.tri(size, dtype=bool)
    return mask

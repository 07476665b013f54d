"""Prefix batching: a row holds an image prefix once and every question as a branch (tree attention mask)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.families.base import Prompt, text_positions
from imagescope_agent.mllms.engine.model_runner import ModelRunner

_PREFIX, _PADDING = 0, -1


@dataclass(kw_only=True)
class PackedRow:
    """A prefix and the branches that continue it.

    Attributes:
        first: a prompt that begins with the prefix.
        prefix: its length in tokens.
        image_prefix: number of its tokens up to the end of the last image.
        key: identifies these tokens and images in the `PrefixCache`; None without an image.
        cached_prefix: their keys and values from the `PrefixCache`.
        branches: tokens of each branch, and the indices of the prompts it answers (duplicates share a branch).
    """

    first: Prompt
    prefix: int
    image_prefix: int = 0
    key: Any = None
    cached_prefix: tuple[torch.Tensor, ...] | None = None
    branches: list[tuple[NDArray[np.int64], list[int]]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens of the whole row."""
        return self.prefix + sum(len(ids) for ids, _ in self.branches)

    @property
    def cached_tokens(self) -> int:
        """Number of first tokens that need no prefill."""
        return self.image_prefix if self.cached_prefix is not None else 0

    def extend_prefix(self) -> None:
        """Move the common beginning of all branches into the prefix; each keeps at least one token."""
        if len(self.branches) < 2:
            return
        least = min(len(ids) for ids, _ in self.branches) - 1
        tokens = np.stack([ids[:least] for ids, _ in self.branches])
        same = int((tokens == tokens[0]).all(axis=0).cumprod().sum())
        self.prefix += same
        self.branches = [(ids[same:], answers) for ids, answers in self.branches]


def pack(prompts: Sequence[Prompt], *, share: bool, row_tokens: int) -> list[PackedRow]:
    """Rows that cover all prompts.

    Args:
        prompts: to pack.
        share: whether prompts with the same images and preamble share a row.
        row_tokens: a row takes no further branch beyond this length (attention grows with its square).
    """
    rows: list[PackedRow] = []
    open_rows: dict[Any, PackedRow] = {}
    seen: dict[Any, list[int]] = {}
    for index, prompt in enumerate(prompts):
        prefix = prompt.prefix if share else 0
        key = (prompt.ids[:prefix].tobytes(), prompt.image_keys) if prefix else index
        branch = prompt.ids[prefix:]
        if share and (key, branch.tobytes()) in seen:
            seen[key, branch.tobytes()].append(index)
            continue
        row = open_rows.get(key)
        if row is None or row.length + len(branch) > max(row_tokens, 2 * prefix):
            cache_key = key if prefix else None
            row = open_rows[key] = PackedRow(first=prompt, prefix=prefix, image_prefix=prefix, key=cache_key)
            rows.append(row)
        answers = [index]
        row.branches.append((branch, answers))
        seen[key, branch.tobytes()] = answers
    for row in rows:
        row.extend_prefix()
    return rows


def batches(rows: Sequence[PackedRow], *, batch_tokens: int) -> Iterator[list[PackedRow]]:
    """Batches of rows of similar length, each at most `batch_tokens` with padding, or one row.

    All rows of a batch have the same number of cached tokens.
    """
    batch: list[PackedRow] = []
    for row in sorted(rows, key=lambda row: (row.cached_tokens, row.length)):
        if batch and (
            (len(batch) + 1) * row.length > batch_tokens or row.cached_tokens != batch[0].cached_tokens
        ):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def split(rows: Sequence[PackedRow]) -> list[list[PackedRow]]:
    """The rows in two batches, or a single row as two with half its branches; empty when neither can be."""
    middle = len(rows) // 2
    if middle:
        return [list(rows[:middle]), list(rows[middle:])]
    row = rows[0]
    middle = len(row.branches) // 2
    if not middle:
        return []
    parts = (row.branches[:middle], row.branches[middle:])
    return [[replace(row, branches=part)] for part in parts]


def forward_rows(
    runner: ModelRunner, rows: Sequence[PackedRow], features: Mapping[str, EncoderOutput], cache: Any = None
) -> tuple[torch.Tensor, list[list[int]]]:
    """Hidden states at the last token of every branch, (branches, width), and the prompts each answers.

    Args:
        runner: of the model.
        rows: of a batch.
        features: of the images by key.
        cache: KV cache with the rows' cached prefixes; grows.
    """
    length = max(row.length for row in rows)
    ids = np.full((len(rows), length), runner.pad, dtype=np.int64)
    positions = np.zeros((runner.axes, len(rows), length), dtype=np.int64)
    branch = np.full((len(rows), length), _PADDING, dtype=np.int64)
    ends: list[tuple[int, int]] = []
    answers: list[list[int]] = []
    for index, row in enumerate(rows):
        end = row.prefix
        ids[index, :end] = row.first.ids[:end]
        positions[:, index, :end] = row.first.positions[:, :end]
        branch[index, :end] = _PREFIX
        for number, (tokens, indices) in enumerate(row.branches, start=1):
            start, end = end, end + len(tokens)
            ids[index, start:end] = tokens
            positions[:, index, start:end] = _branch_positions(row, len(tokens))
            branch[index, start:end] = number
            ends.append((index, end - 1))
            answers.append(indices)
    cached = rows[0].cached_tokens
    hidden = runner.hidden(
        runner.tensor(ids[:, cached:]),
        runner.tensor(positions[:, :, cached:]),
        branch_mask(runner.tensor(branch))[:, :, cached:],
        [] if cached else [features[key] for row in rows for key in row.first.image_keys],
        cache,
        read=runner.tensor(np.asarray(ends).T - np.array([[0], [cached]])),
    )
    return hidden, answers


def branch_mask(branch: torch.Tensor) -> torch.Tensor:
    """Tree attention mask: a token attends to itself and to earlier tokens of the prefix and its own branch.

    Args:
        branch: (batch, length), 0 for the prefix, then 1, 2, ... and -1 for padding.

    Returns:
        (batch, 1, length, length) bool. Padding attends to itself: a row of all False would give NaN.
    """
    index = torch.arange(branch.shape[1], device=branch.device)
    seen = (branch[:, None, :] == _PREFIX) | (branch[:, None, :] == branch[:, :, None])
    seen &= (index[None, :] <= index[:, None]) & (branch[:, None, :] != _PADDING)
    seen |= torch.eye(branch.shape[1], dtype=torch.bool, device=branch.device)
    return seen[:, None]


def _branch_positions(row: PackedRow, length: int) -> NDArray[np.int64]:
    if not row.prefix:
        return row.first.positions
    start = int(row.first.positions[:, : row.prefix].max()) + 1
    return text_positions(start, length, len(row.first.positions))

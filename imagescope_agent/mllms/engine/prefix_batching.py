"""Shared-prefix scoring: a row holds a picture's prefix once, and every question about it as a branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.mllms.engine.prompt import Prompt, line

_PREFIX, _PADDING = 0, -1


@dataclass(kw_only=True)
class PackedRow:
    """A prefix and the branches that continue it.

    Attributes:
        first: a prompt that begins with the prefix.
        prefix: its length in tokens.
        pictured: tokens of it that reach up to the end of the last picture.
        key: names these tokens and what the pictures show; None without a picture.
        held: what is known of them already, see `PrefixCache`.
        branches: tokens of each branch, and the places of the prompts it answers (a question asked twice).
    """

    first: Prompt
    prefix: int
    pictured: int = 0
    key: Any = None
    held: tuple[torch.Tensor, ...] | None = None
    branches: list[tuple[NDArray[np.int64], list[int]]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens of the whole row."""
        return self.prefix + sum(len(ids) for ids, _ in self.branches)

    @property
    def known(self) -> int:
        """How many of its first tokens need not be read again."""
        return self.pictured if self.held is not None else 0

    def deepen(self) -> None:
        """Move what all branches begin with into the prefix; each keeps at least one token."""
        if len(self.branches) < 2:
            return
        least = min(len(ids) for ids, _ in self.branches) - 1
        tokens = np.stack([ids[:least] for ids, _ in self.branches])
        same = int((tokens == tokens[0]).all(axis=0).cumprod().sum())
        self.prefix += same
        self.branches = [(ids[same:], places) for ids, places in self.branches]


def pack(prompts: Sequence[Prompt], *, share: bool, row_tokens: int) -> list[PackedRow]:
    """Rows that answer all prompts.

    Args:
        prompts: what is asked.
        share: whether prompts with the same pictures and preamble share a row.
        row_tokens: a row takes no further branch beyond this length (attention grows with its square).
    """
    rows: list[PackedRow] = []
    open_rows: dict[Any, PackedRow] = {}
    seen: dict[Any, list[int]] = {}
    for place, prompt in enumerate(prompts):
        prefix = prompt.prefix if share else 0
        key = (prompt.ids[:prefix].tobytes(), prompt.pictures) if prefix else place
        branch = prompt.ids[prefix:]
        if share and (key, branch.tobytes()) in seen:
            seen[key, branch.tobytes()].append(place)
            continue
        row = open_rows.get(key)
        if row is None or row.length + len(branch) > max(row_tokens, 2 * prefix):
            named = key if prefix else None
            row = open_rows[key] = PackedRow(first=prompt, prefix=prefix, pictured=prefix, key=named)
            rows.append(row)
        places = [place]
        row.branches.append((branch, places))
        seen[key, branch.tobytes()] = places
    for row in rows:
        row.deepen()
    return rows


def batches(rows: Sequence[PackedRow], *, batch_tokens: int) -> Iterator[list[PackedRow]]:
    """Rows of similar length together, each batch at most `batch_tokens` with its padding, or one row.

    As much of each row of a batch is known.
    """
    batch: list[PackedRow] = []
    for row in sorted(rows, key=lambda row: (row.known, row.length)):
        if batch and ((len(batch) + 1) * row.length > batch_tokens or row.known != batch[0].known):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def halves(rows: Sequence[PackedRow]) -> list[list[PackedRow]]:
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


def score(
    network: ModelRunner, rows: Sequence[PackedRow], features: Mapping[str, EncoderOutput], cache: Any = None
) -> tuple[torch.Tensor, list[list[int]]]:
    """Hidden states at the last token of every branch, (branches, width), and the prompts each answers.

    Args:
        network: reads the rows.
        rows: of a batch.
        features: of the pictures by key.
        cache: holds what is known of the rows already; grows.
    """
    length = max(row.length for row in rows)
    ids = np.full((len(rows), length), network.pad, dtype=np.int64)
    positions = np.zeros((network.axes, len(rows), length), dtype=np.int64)
    branch = np.full((len(rows), length), _PADDING, dtype=np.int64)
    reads: list[tuple[int, int]] = []
    places: list[list[int]] = []
    for index, row in enumerate(rows):
        end = row.prefix
        ids[index, :end] = row.first.ids[:end]
        positions[:, index, :end] = row.first.positions[:, :end]
        branch[index, :end] = _PREFIX
        for number, (tokens, answered) in enumerate(row.branches, start=1):
            start, end = end, end + len(tokens)
            ids[index, start:end] = tokens
            positions[:, index, start:end] = _branch_positions(row, len(tokens))
            branch[index, start:end] = number
            reads.append((index, end - 1))
            places.append(answered)
    known = rows[0].known
    hidden = network.hidden(
        network.tensor(ids[:, known:]),
        network.tensor(positions[:, :, known:]),
        branch_mask(network.tensor(branch))[:, :, known:],
        [] if known else [features[key] for row in rows for key in row.first.pictures],
        cache,
        read=network.tensor(np.asarray(reads).T - np.array([[0], [known]])),
    )
    return hidden, places


def branch_mask(branch: torch.Tensor) -> torch.Tensor:
    """Who attends to whom: a token to itself, and to what stands before it in prefix and own branch.

    Args:
        branch: (batch, length), 0 for the prefix, then 1, 2, ... and -1 for padding.

    Returns:
        (batch, 1, length, length) bool. Padding attends to itself: a row without any target would give NaN.
    """
    place = torch.arange(branch.shape[1], device=branch.device)
    seen = (branch[:, None, :] == _PREFIX) | (branch[:, None, :] == branch[:, :, None])
    seen &= (place[None, :] <= place[:, None]) & (branch[:, None, :] != _PADDING)
    seen |= torch.eye(branch.shape[1], dtype=torch.bool, device=branch.device)
    return seen[:, None]


def _branch_positions(row: PackedRow, length: int) -> NDArray[np.int64]:
    if not row.prefix:
        return row.first.positions
    start = int(row.first.positions[:, : row.prefix].max()) + 1
    return line(start, length, len(row.first.positions))

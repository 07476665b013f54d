"""A packed batch: NumPy arrays as data loader workers return it, and tensors on the training device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from imagescope_agent.lab.training.data.targets import Arrays

Tensors = Mapping[str, torch.Tensor]


class PackedBatch(NamedTuple):
    """Rows of turns, padded on the right.

    Attributes:
        ids: tokens (b, l).
        positions: (3, b, l).
        branch: (b, l), 0 for the shared prefix of a row's turns, -1 for padding.
        images: numbers in the pool, in order of appearance.
        answers: "row", "column", "token" and "kind" (index into `packing.TURN_KINDS`) of every token to be predicted.
        auxiliary: by auxiliary head, see `targets.auxiliary_targets`.
        attention: by supervised head, see `targets.attention_targets`.
        loss_scale: factor of the answers' loss.
        kinds: of turn in the batch.
    """

    ids: np.ndarray
    positions: np.ndarray
    branch: np.ndarray
    images: np.ndarray
    answers: Arrays
    auxiliary: dict[str, Arrays]
    attention: dict[str, Arrays]
    loss_scale: float
    kinds: tuple[str, ...]


class DeviceBatch(NamedTuple):
    """The same as tensors; `mask` (b, 1, l, l) is True where attention is allowed."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    answers: Tensors
    auxiliary: Mapping[str, Tensors]
    attention: Mapping[str, Tensors]
    loss_scale: float
    kinds: tuple[str, ...]


def on_device(packed: PackedBatch, device: torch.device) -> DeviceBatch:
    """Copy a batch to a device."""

    def moved(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    def all_moved(arrays: Arrays) -> Tensors:
        return {name: moved(array) for name, array in arrays.items()}

    return DeviceBatch(
        ids=moved(packed.ids),
        positions=moved(packed.positions),
        mask=branch_mask(moved(packed.branch)),
        answers=all_moved(packed.answers),
        auxiliary={name: all_moved(arrays) for name, arrays in packed.auxiliary.items()},
        attention={name: all_moved(arrays) for name, arrays in packed.attention.items()},
        loss_scale=packed.loss_scale,
        kinds=packed.kinds,
    )


def branch_mask(branch: torch.Tensor) -> torch.Tensor:
    """Attention mask (b, 1, l, l) from branch numbers (b, l); 0 is the prefix, -1 padding.

    Every token attends to the prefix and to its own branch, causally; padding attends to itself only, so that no row
    of the softmax is empty.
    """
    length = branch.shape[1]
    query, key = branch[:, :, None], branch[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    allowed = ((key == 0) | (key == query)) & (query >= 0) & (key >= 0) & causal
    return (allowed | torch.eye(length, dtype=torch.bool, device=branch.device))[:, None]

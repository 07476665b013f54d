"""Weights in 8 bits: the rows of a matrix, or the columns where these are fewer, by their largest number.

Everything else is in 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Ends the name of what a matrix of whole numbers is multiplied with: (rows, 1) or (1, columns).
SCALE = ".scale"
_LARGEST = 127


def packed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors as they are stored; `unpacked` brings each number back to 1/254 of the largest of its row or column."""
    import torch

    found: dict[str, torch.Tensor] = {}
    for name, each in tensors.items():
        if each.is_floating_point() and each.dim() == 2:
            rows, columns = each.shape
            largest = each.float().abs().amax(dim=1 if rows <= columns else 0, keepdim=True)
            scale = largest.clamp(min=1e-12) / _LARGEST
            found[name] = (each.float() / scale).round().to(torch.int8)
            found[name + SCALE] = scale
        else:
            found[name] = each.half() if each.is_floating_point() else each
    return {name: each.contiguous() for name, each in found.items()}


def unpacked(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors that were packed; what was stored in 16 bits alone stays."""
    return {
        name: each.float() * tensors[name + SCALE].float() if name + SCALE in tensors else each
        for name, each in tensors.items()
        if not name.endswith(SCALE)
    }


def factored(matrix: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors, (rows, rank) and (rank, columns), whose product is nearest to a matrix (Eckart and Young, 1936)."""
    import torch

    left, values, right = torch.linalg.svd(matrix.float(), full_matrices=False)
    share = values[:rank].sqrt()
    return left[:, :rank] * share, share[:, None] * right[:rank]

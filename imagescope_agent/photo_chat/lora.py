"""Low-rank adaptation (LoRA, arXiv 2106.09685) of a language model's attention: W + up @ down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from imagescope_agent.common.packed_weights import factored

ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")


class Change(nn.Module):
    """A low-rank change of a linear map, nothing at first: (..., in) -> (..., out)."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The change of the outputs."""
        found: torch.Tensor = inputs @ self.down.to(inputs.dtype).T @ self.up.to(inputs.dtype).T
        return found


class Changed(nn.Module):
    """A frozen linear map with a change beside it."""

    def __init__(self, base: nn.Linear, change: Change) -> None:
        super().__init__()
        self.base, self.change = base, change

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        found: torch.Tensor = self.base(inputs) + self.change(inputs)
        return found


def add_lora(model: Any, rank: int) -> nn.ModuleList:
    """Put changes beside the maps of a `LlamaForCausalLM` whose weights are frozen.

    Returns:
        By layer, and in it by name of the map: tensors "0.q_proj.up", "0.q_proj.down" and so on.
    """
    layers = nn.ModuleList()
    for layer in model.model.layers:
        changes = nn.ModuleDict()
        for name in ADAPTED:
            base = getattr(layer.self_attn, name)
            changes[name] = change = Change(base.in_features, base.out_features, rank)
            setattr(layer.self_attn, name, Changed(base, change))
        layers.append(changes)
    return layers


def merge(model: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    """Add changes, named as `add_lora` has them, to a model's weights.

    Raises:
        KeyError, RuntimeError: they are of another model.
    """
    with torch.no_grad():
        for number, layer in enumerate(model.model.layers):
            for name in ADAPTED:
                weight = getattr(layer.self_attn, name).weight
                up, down = (tensors[f"{number}.{name}.{part}"].float() for part in ("up", "down"))
                weight += (up @ down).to(weight.dtype)


def cut(changes: nn.Module, rank: int) -> dict[str, torch.Tensor]:
    """Tensors of changes whose products are nearest to theirs in so many ranks; as they are where they have no more."""
    found = dict(changes.state_dict())
    for name in [name for name in found if name.endswith(".up") and found[name].shape[1] > rank]:
        down = f"{name.removesuffix('up')}down"
        found[name], found[down] = factored(found[name].float() @ found[down].float(), rank)
    return found


def widened(tensors: Mapping[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """An adapter's tensors with changes of so many ranks, the further ones zero and so without effect."""
    found = dict(tensors)
    for name, each in tensors.items():
        if name.endswith(".up"):
            found[name] = nn.functional.pad(each, (0, rank - each.shape[1]))
        elif name.endswith(".down"):
            found[name] = nn.functional.pad(each, (0, 0, 0, rank - each.shape[0]))
    return found

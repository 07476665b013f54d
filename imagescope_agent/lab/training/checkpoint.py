"""Training checkpoints: weights and optimizer moments in one safetensors file, replaced atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

FILE = "state.safetensors"


def save_checkpoint(folder: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Write everything needed to resume; if the process is killed, the previous checkpoint remains."""
    tensors: dict[str, torch.Tensor] = {}
    stored: set[int] = set()
    for name, module in modules.items():
        for key, value in module.state_dict().items():
            if value.data_ptr() not in stored:  # tied weights are stored once
                stored.add(value.data_ptr())
                tensors[f"{name}.{key}"] = value
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"moment.{number}.{key}": value.clone() for key, value in moments.items()}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "state.part"
    save_file({key: value.contiguous() for key, value in tensors.items()}, part)
    part.replace(folder / FILE)


def load_checkpoint(
    folder: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    *,
    renamed: Mapping[str, str] | None = None,
) -> int:
    """Restore the checkpoint and return the number of steps taken; 0 where there is none.

    Args:
        folder: of the checkpoint.
        modules: by name, as saved.
        optimizer: over the same parameters in the same order.
        renamed: prefixes of tensor names in older checkpoints, with the present ones.
    """
    if not (folder / FILE).exists():
        return 0
    tensors = load_file(folder / FILE)
    for old, new in (renamed or {}).items():
        tensors |= {new + name: value for name, value in _under(tensors, old).items()}
    for name, module in modules.items():
        module.load_state_dict(_under(tensors, f"{name}."), strict=False)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _under(tensors, "moment.").items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(next(iter(state.values()))["step"])


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

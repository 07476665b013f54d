"""The state of a training on disk: weights and optimizer moments in safetensors, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

FILE = "state.safetensors"


def save_state(folder: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Write everything needed to go on; a kill at any moment leaves the last good state."""
    tensors: dict[str, torch.Tensor] = {}
    kept: set[int] = set()
    for name, module in modules.items():
        for key, value in module.state_dict().items():
            if value.data_ptr() not in kept:  # tied weights are stored once
                kept.add(value.data_ptr())
                tensors[f"{name}.{key}"] = value
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"moment.{number}.{key}": value.clone() for key, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "state.part"
    save_file({key: value.contiguous() for key, value in tensors.items()}, part)
    part.replace(folder / FILE)


def load_state(folder: Path, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> int:
    """Put the saved state back and return the number of steps taken; 0 where nothing was saved."""
    if not (folder / FILE).exists():
        return 0
    tensors = load_file(folder / FILE)
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

"""Weights of a composer's networks: safetensors of float16, read as data that may be a stranger's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import read_file
from imagescope_agent.errors import BadInput

WEIGHTS = "composer.safetensors"
TEXT = "text.safetensors"  # changes to the text tower's weights
LARGEST = 2**28  # bytes of a file
Network = TypeVar("Network", bound=nn.Module)


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as float16."""
    halves = {name: value.detach().cpu().to(torch.float16).contiguous() for name, value in tensors.items()}
    write_atomic(path, save(halves))


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors as float32.

    Raises:
        BadInput: the file is missing or damaged.
    """
    try:
        tensors = {name: value.float() for name, value in load(read_file(path, LARGEST)).items()}
        if not all(torch.isfinite(value).all() for value in tensors.values()):
            raise ValueError("not all of its numbers are finite")
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise damaged(path, error) from error
    return tensors


def load_network(folder: Path, build: Callable[[], Network]) -> Network:
    """A network with the weights of a folder, for use.

    Args:
        folder: of the composer.
        build: makes the network; called where nothing is allocated, so that a card's sizes cost no memory.

    Raises:
        BadInput: the weights are missing, damaged, or of another size.
    """
    tensors = load_tensors(folder / WEIGHTS)
    try:
        with torch.device("meta"):
            network = build()
        network.load_state_dict(tensors, assign=True)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise damaged(folder / WEIGHTS, error) from error
    return network.eval()


def damaged(path: Path, error: Exception) -> BadInput:
    """The error about weights that cannot be used."""
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return BadInput(
        f"the composer in {str(path.parent)!r} is damaged: {path.name}: {why}; train it again "
        "(`imagescope train composer`)"
    )

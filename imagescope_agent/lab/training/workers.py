"""Trainings in several processes, which share the parts of a step and sum their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch

from imagescope_agent.errors import BackendUnavailable


class Workers:
    """The processes of a training, one a GPU; a single one unless `accelerate launch` started several.

    Args:
        cpu: whether they compute on CPUs, whatever devices there are.

    Attributes:
        rank: of this process.
        count: of all.

    Raises:
        BackendUnavailable: several were started and `accelerate` is not installed.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        self.rank, self.count = 0, 1
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            try:
                from accelerate import Accelerator
            except ImportError:
                raise BackendUnavailable(
                    "several processes need accelerate; install it with: pip install 'imagescope-agent[train]'"
                ) from None
            self._accelerator = Accelerator(cpu=cpu)
            self.rank, self.count = self._accelerator.process_index, self._accelerator.num_processes

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        if self._accelerator is None:
            return values
        found: torch.Tensor = self._accelerator.reduce(values, reduction="sum")
        return found

    def share(self, weights: Iterable[torch.Tensor]) -> None:
        """Sum the gradients of some weights over all processes, in place."""
        if self._accelerator is not None:
            for weight in weights:
                weight.grad = self.sum(torch.zeros_like(weight) if weight.grad is None else weight.grad)

    def wait(self) -> None:
        """Until every process is here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

"""On which devices a checkpoint lies: one, several with some layers each, or several with a part of each layer."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from typing import Any

import torch

from imagescope_agent.errors import UnusableModel, suggest
from imagescope_agent.mllms.engine.config import ModelConfig

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the weights go.

    Attributes:
        device: where inputs go, and all weights unless `options` say otherwise.
        options: of `from_pretrained`; empty for one device.
    """

    device: torch.device
    options: dict[str, Any] = field(default_factory=dict)

    def is_spread(self, model: Any) -> bool:
        """Whether no single device holds the whole of each layer of a loaded model and of all layers."""
        places = {str(weight.device) for weight in model.parameters()}
        return self.is_shared or len(places) > 1

    @property
    def is_shared(self) -> bool:
        """Whether several processes have a part of each layer."""
        return bool({"tp_plan", "distributed_config"} & self.options.keys())

    def require_shared(self, model: Any, name: str) -> None:
        """Refuse a loaded model of which every process has the whole although it was to have a part.

        Raises:
            UnusableModel: the installed transformers has no plan for it.
        """
        layers = [weight for part, weight in model.named_parameters() if ".layers." in part]
        if self.is_shared and not any(hasattr(weight, "to_local") for weight in layers):
            raise UnusableModel(
                f"the installed transformers has no tp_plan for the layers of {name!r}; use device_map, or a server "
                "that shares them (vLLM, SGLang)"
            )


def place(config: ModelConfig) -> Placement:
    """Where the weights of a configuration go.

    Raises:
        UnusableModel: no such device or plan, two that contradict each other, or what a plan needs is missing.
    """
    if not config.device_map and not config.tp_plan:
        return Placement(device=pick_device(config.device))
    if config.device_map and config.tp_plan:
        raise UnusableModel(
            "device_map and tp_plan both say where the weights go; leave one out of the profile"
        )
    named = "device_map" if config.device_map else "tp_plan"
    if config.device != "auto":
        raise UnusableModel(
            f"device = {config.device!r} and {named} both say where the weights go; leave one out of the profile"
        )
    return _mapped(config) if config.device_map else _shared(config)


def _mapped(config: ModelConfig) -> Placement:
    if config.device_map not in DEVICE_MAPS:
        raise UnusableModel(
            f"there is no device_map {config.device_map!r}; {suggest(config.device_map, DEVICE_MAPS)}"
        )
    if importlib.util.find_spec("accelerate") is None:
        raise UnusableModel("device_map needs an extra: pip install 'imagescope-agent[spread]'")
    return Placement(device=pick_device("auto"), options={"device_map": config.device_map})


def _shared(config: ModelConfig) -> Placement:
    if config.tp_plan != "auto":
        raise UnusableModel(f"there is no tp_plan {config.tp_plan!r}; use 'auto'")
    if int(os.environ.get("WORLD_SIZE") or 1) < 2:
        raise UnusableModel(
            "tp_plan needs a process for each device: torchrun --nproc-per-node N -m imagescope_agent.cli ...; "
            "or use device_map, or a server that does it (vLLM, SGLang)"
        )
    device = pick_device("auto")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0))
    return Placement(device=device, options=_plan())


def _plan() -> dict[str, Any]:
    """The option of `from_pretrained`, as the installed transformers wants it."""
    try:
        from transformers.distributed.configuration_utils import DistributedConfig
    except ImportError:
        return {"tp_plan": "auto"}
    return {"distributed_config": DistributedConfig(tp_plan="auto")}


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        UnusableModel: no such device, or no CUDA device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UnusableModel(f"there is no device {name!r}; use 'auto', 'cpu' or 'cuda'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UnusableModel(
            f"the profile asks for {name!r} and this machine has no CUDA device; use 'cpu' or 'auto'"
        )
    return device

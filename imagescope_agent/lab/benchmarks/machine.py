"""The machine that a benchmark ran on."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """The machine as plain values; seconds are comparable only on the same one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "load": [round(each, 2) for each in os.getloadavg()],
    }


def describe_machine(found: Mapping[str, Any]) -> str:
    """What `machine` and `peak_memory` found, in one line."""
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)


def peak_memory() -> dict[str, float]:
    """Peak memory of this process so far, in GB (10^9 bytes)."""
    # Linux reports kilobytes
    peak = {"memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)}
    if torch.cuda.is_available():
        peak["gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return peak

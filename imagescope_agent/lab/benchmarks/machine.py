"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import resource
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """The machine in plain values; seconds are only comparable on the same one."""
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


def peak_memory() -> dict[str, float]:
    """Highest memory use of this process so far, in GB (10^9 bytes)."""
    # Linux gives kilobytes
    held = {"memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)}
    if torch.cuda.is_available():
        held["gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return held

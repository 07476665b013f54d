"""Commands that run in several processes at once, as `accelerate launch --cpu` starts them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence


def run_in_processes(command: Sequence[str], count: int) -> None:
    """Run a command in some processes that find each other; every one has to end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    started = [
        subprocess.Popen(command, env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    assert [each.wait(timeout=1800) for each in started] == [0] * count

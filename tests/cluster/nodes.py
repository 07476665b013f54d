"""A Ray cluster of two nodes on this machine: two raylets with a core each, as two machines would be joined."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STORE = 100 * 2**20  # bytes of each node's object store


def require_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'imagescope-agent[ray]'")


class TwoNodes:
    """Two nodes; the driver of a test is a process of its own that is given the address."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=node)
        self._second: Any = self._cluster.add_node(num_cpus=1, object_store_memory=STORE)
        self.address: str = self._cluster.address

    def kill_second(self) -> None:
        """End the second node and its workers at once, as a machine that goes."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def stop(self) -> None:
        self._cluster.shutdown()


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    require_ray()
    before = dict(os.environ)
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    cluster = None
    try:
        cluster = TwoNodes()
        yield cluster
    finally:
        if cluster is not None:
            cluster.stop()
        os.environ.clear()
        os.environ.update(before)

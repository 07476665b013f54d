"""A Ray cluster of two nodes on this machine: two raylets with a core each, as two machines would be joined.

They listen on 127.0.0.1 only.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from imagescope_agent.cluster.connection import on_loopback
from tests.cluster.models import TOGETHER

ROOT = Path(__file__).parents[2]
Seen = TypeVar("Seen")
STORE = 100 * 2**20  # bytes of each node's object store
START = 300  # seconds that each part of Ray has to start in: this machine may be busy with other tests


def require_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'imagescope-agent[ray]'")


class TwoNodes:
    """Two nodes; the driver of a test is a process of its own that is given the address."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        with environment():
            self._cluster = Cluster(initialize_head=True, head_node_args=node)
        self.address: str = self._cluster.address
        self._second: Any = None

    def whole(self) -> None:
        """Start the second node where it is gone."""
        if self._second is not None:
            return
        with environment():
            self._second = self._cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def kill_second(self) -> None:
        """End the second node and its workers at once, as a machine that goes."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None

    def stop(self) -> None:
        self._cluster.shutdown()


class Run:
    """A command in a process of its own, on the cluster.

    Args:
        nodes: the cluster.
        log: a file that the models of the test write a line to for each piece of work, with their process first.
        arguments: of `imagescope`.
    """

    def __init__(self, nodes: TwoNodes, log: Path, *arguments: object) -> None:
        self._log = log
        log.unlink(missing_ok=True)
        told = [*map(str, arguments), "--engine", "ray", "--address", nodes.address]
        with environment():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "imagescope_agent.cli", *told],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def started(self, count: int) -> list[int]:
        """The processes that did so many pieces of work, once these were begun."""

        def lines() -> list[str]:
            found = self._log.read_text().splitlines() if self._log.exists() else []
            return found if len(found) >= count else []

        return [int(line.split()[0]) for line in self.until(lines)]

    def until(self, seen: Callable[[], Seen]) -> Seen:
        """What is seen of the command at its work, once it is something."""
        for _ in range(12000):
            if found := seen():
                return found
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        raise AssertionError("nothing came of it")

    def killed(self) -> None:
        self.process.kill()
        self.process.communicate()

    def done(self) -> str:
        """What it printed, to both of its outputs."""
        out, err = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, err
        return out + err


@contextmanager
def serving(nodes: TwoNodes, key: str, *arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address and the process of `imagescope serve-model` on the cluster."""
    told = ["serve-model", *map(str, arguments), "--engine", "ray", "--address", nodes.address]
    with environment():
        process = subprocess.Popen(
            [sys.executable, "-m", "imagescope_agent.cli", *told],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "IMAGESCOPE_API_KEY": key},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), line + process.communicate()[1]
        yield line.split()[0], process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=600)
        finally:
            process.kill()


def work(told: str) -> list[int]:
    """How much each node did."""
    found = re.search(r"(?:computed|answered) by \d+ nodes?: (.*)", told)
    assert found is not None, told
    return [int(part.split()[1]) for part in found[1].split(", ")]


@contextmanager
def environment() -> Iterator[None]:
    """What nodes and their workers are started with."""
    with pytest.MonkeyPatch.context() as patch:
        given = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            TOGETHER: "2",
            "RAY_gcs_server_port_wait_time_s": str(START),
            "RAY_gcs_server_request_timeout_seconds": str(START),
            "RAY_raylet_start_wait_time_s": str(START),
            "RAY_worker_register_timeout_seconds": str(START),
            "RAY_agent_register_timeout_ms": str(START * 1000),
        }
        for name, value in given.items():
            patch.setenv(name, value)
        _wait_for_nodes(patch)
        with on_loopback():
            yield


def _wait_for_nodes(patch: pytest.MonkeyPatch) -> None:
    """Give a node `START` seconds to appear, for which Ray has a limit of its own that nothing sets."""
    from ray._private import services

    find = services.get_node

    def get_node(*arguments: Any) -> Any:
        end = time.monotonic() + START
        while True:
            try:
                return find(*arguments)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.2)

    patch.setattr(services, "get_node", get_node)


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    require_ray()
    cluster = TwoNodes()
    try:
        yield cluster
    finally:
        cluster.stop()

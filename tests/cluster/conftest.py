"""The cluster of a file of tests, with both of its nodes at the beginning of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import Run, TwoNodes, two_nodes


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as both:
        yield both


@pytest.fixture
def nodes(cluster: TwoNodes) -> TwoNodes:
    cluster.whole()
    return cluster


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models of the tests write down what they do."""
    return tmp_path_factory.mktemp("models") / "log"


@pytest.fixture
def run(nodes: TwoNodes, log: Path) -> Iterator[Callable[..., Run]]:
    """Run a command on the cluster."""
    runs: list[Run] = []

    def start(*arguments: object) -> Run:
        runs.append(Run(nodes, log, *arguments))
        return runs[-1]

    yield start
    for each in runs:
        each.killed()

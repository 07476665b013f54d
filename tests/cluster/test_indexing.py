"""Indexing by Ray on two nodes: the bytes of one process's index, whatever dies on the way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from tests.cluster.nodes import ROOT, TwoNodes, two_nodes
from tests.retrieval.index_runs import published
from tests.scripted_profile import scripted_profile

COUNT = 320  # ten batches

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, among them copies and files that are none, which must not shift the batches."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number:04}.png")
    for name in ("0040b.png", "0200b.png", "0300b.png"):
        shutil.copy(folder / "0010.png", folder / name)
    (folder / "0030b.png").write_bytes(b"no picture")
    (folder / "0170b.png").write_bytes((folder / "0001.png").read_bytes()[:40])
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("profile")
    (place / "slow.toml").write_text(
        scripted_profile(f"tests.cluster.models:open_slow:{place / 'log'}", reply="a noisy picture")
    )
    return place / "slow.toml"


@pytest.fixture(scope="module")
def whole(photos: Path, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The index that one process makes."""
    out = tmp_path_factory.mktemp("whole") / "index"
    assert index_folder(photos, profile=str(profile), out=out).new == COUNT
    return published(out)


class Run:
    """`imagescope index --engine ray` in a process of its own."""

    def __init__(self, nodes: TwoNodes, photos: Path, profile: Path, out: Path) -> None:
        self.log = profile.parent / "log"
        self.log.unlink(missing_ok=True)
        arguments = ["index", str(photos), "--profile", str(profile), "--out", str(out)]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "imagescope_agent.cli",
                *arguments,
                "--engine",
                "ray",
                "--address",
                nodes.address,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def started(self, batches: int) -> list[int]:
        """The processes that computed so many batches, once they were begun."""
        for _ in range(6000):
            lines = self.log.read_text().split() if self.log.exists() else []
            if len(lines) >= batches:
                return [int(line) for line in lines]
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        raise AssertionError("no batch was computed")

    def done(self) -> str:
        out, err = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, err
        return out


@pytest.fixture
def run(nodes: TwoNodes, photos: Path, profile: Path, tmp_path: Path) -> Iterator[Callable[[], Run]]:
    runs: list[Run] = []

    def start() -> Run:
        runs.append(Run(nodes, photos, profile, tmp_path / "index"))
        return runs[-1]

    yield start
    for each in runs:
        each.process.kill()
        each.process.communicate()


def work(told: str) -> list[int]:
    """How many images each node computed."""
    found = re.search(r"computed by \d+ nodes: (.*)", told)
    assert found is not None, told
    return [int(part.split()[1]) for part in found[1].split(", ")]


def test_a_worker_killed_on_the_way(run: Callable[[], Run], whole: dict[str, bytes], tmp_path: Path) -> None:
    first = run()
    os.kill(first.started(3)[-1], signal.SIGKILL)
    told = first.done()
    assert published(tmp_path / "index") == whole
    assert "323 images" in told and "320 new, 3 copies" in told and "2 skipped" in told
    assert len(work(told)) == 2 and sum(work(told)) == COUNT and min(work(told)) >= 32


def test_a_killed_driver_loses_no_batch_that_came_back(
    run: Callable[[], Run], whole: dict[str, bytes], tmp_path: Path
) -> None:
    first = run()
    first.started(6)  # two at a time: some are recorded
    first.process.send_signal(signal.SIGKILL)
    first.process.communicate()
    assert not (tmp_path / "index" / "imagescope.json").exists()
    told = run().done()
    assert published(tmp_path / "index") == whole
    again = int(re.findall(r"(\d+) new", told)[0])
    assert 0 < again < COUNT and again % 32 == 0 and sum(work(told)) == again


def test_a_node_killed_on_the_way(
    run: Callable[[], Run], whole: dict[str, bytes], tmp_path: Path, nodes: TwoNodes
) -> None:
    first = run()
    first.started(4)
    nodes.kill_second()  # for good: the last test here that needs it
    told = first.done()
    assert published(tmp_path / "index") == whole
    assert sum(work(told)) == COUNT


def test_what_no_engine_is_given_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="local, ray"):
        index_folder(tmp_path, engine="spark")
    with pytest.raises(BadInput, match="--engine ray"):
        index_folder(tmp_path, address="auto")

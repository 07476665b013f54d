"""Indexing by Ray on two nodes: the bytes of one process's index, whatever dies on the way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BackendUnavailable, BadInput, MissingExtra
from imagescope_agent.evaluation.evaluate import evaluate
from tests.cluster.nodes import Run, TwoNodes, require_ray, work
from tests.retrieval.index_runs import published
from tests.scripted_profile import scripted_profile

COUNT = 320  # ten batches


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
def profile(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("profile") / "slow.toml"
    place.write_text(scripted_profile(f"tests.cluster.models:open_slow:{log}", reply="a noisy picture"))
    return place


@pytest.fixture(scope="module")
def whole(photos: Path, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The index that one process makes."""
    out = tmp_path_factory.mktemp("whole") / "index"
    assert index_folder(photos, profile=str(profile), out=out).new == COUNT
    return published(out)


@pytest.fixture
def index(run: Callable[..., Run], photos: Path, profile: Path, tmp_path: Path) -> Callable[[], Run]:
    return lambda: run("index", photos, "--profile", profile, "--out", tmp_path / "index")


@pytest.mark.slow
def test_a_worker_and_then_a_node_killed_on_the_way(
    index: Callable[[], Run], whole: dict[str, bytes], tmp_path: Path, nodes: TwoNodes
) -> None:
    first = index()
    os.kill(first.started(3)[-1], signal.SIGKILL)
    first.started(6)
    nodes.kill_second()
    told = first.done()
    assert published(tmp_path / "index") == whole
    assert "323 images" in told and "320 new, 3 copies" in told and "2 skipped" in told
    assert len(work(told)) == 2 and sum(work(told)) == COUNT and min(work(told)) >= 32


@pytest.mark.slow
def test_a_killed_driver_loses_no_batch_that_came_back(
    index: Callable[[], Run], whole: dict[str, bytes], tmp_path: Path
) -> None:
    first = index()
    first.started(6)  # two at a time: some are recorded
    first.killed()
    assert not (tmp_path / "index" / "imagescope.json").exists()
    told = index().done()
    assert published(tmp_path / "index") == whole
    again = int(re.findall(r"(\d+) new", told)[0])
    assert 0 < again < COUNT and again % 32 == 0 and sum(work(told)) == again


def test_what_no_engine_is_given_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="local, ray"):
        index_folder(tmp_path, engine="spark")
    with pytest.raises(BadInput, match="--engine ray"):
        index_folder(tmp_path, address="auto")


def test_a_cluster_that_is_not_there_is_told_at_once(photos: Path, profile: Path, tmp_path: Path) -> None:
    require_ray()
    with pytest.raises(BackendUnavailable, match=r"the cluster '127.0.0.1:1' does not answer"):
        index_folder(photos, profile=str(profile), out=tmp_path / "out", engine="ray", address="127.0.0.1:1")
    assert not (tmp_path / "out").exists()


def test_without_its_extra_the_engine_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'imagescope-agent\[ray\]'"):
        index_folder(tmp_path, engine="ray")
    with pytest.raises(MissingExtra, match="imagescope-agent"):
        evaluate("scenes", root=tmp_path, out=tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()

"""Indexing, evaluating and serving a model by Ray on two nodes: what one process makes, whatever dies on the way.

In one file, since workers of pytest share the machine: one cluster runs at a time, and ends with the file.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from imagescope_agent.api import index_folder
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Choice, Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.cluster.nodes import Run, TwoNodes, serving, work
from tests.evaluation.conftest import drawn as drawn  # the fixture
from tests.ingest.bucket import bucket_of
from tests.mllms.checkpoints import picture
from tests.retrieval.index_runs import published
from tests.scripted_profile import scripted_profile

pytestmark = pytest.mark.slow
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


def test_a_worker_and_then_a_node_killed_on_the_way(
    index: Callable[[], Run], whole: dict[str, bytes], tmp_path: Path, nodes: TwoNodes
) -> None:
    first = index()
    os.kill(first.started(3)[-1], signal.SIGKILL)
    # who began two has given one back: both nodes did some
    first.until(lambda: sum(count > 1 for count in Counter(first.started(6)).values()) > 1)
    nodes.kill_second()
    told = first.done()
    assert published(tmp_path / "index") == whole
    assert "323 images" in told and "320 new, 3 copies" in told and "2 skipped" in told
    assert len(work(told)) == 2 and sum(work(told)) == COUNT and min(work(told)) >= 32


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


def test_a_bucket_is_fetched_once_and_its_pictures_are_computed_by_the_nodes(
    run: Callable[..., Run], photos: Path, profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs", reason="pip install 'imagescope-agent[s3]'")
    # six batches, more than the two that one worker may hold at a time
    chosen = sorted(photos.iterdir())[:164]
    with bucket_of({f"photos/{file.name}": file.read_bytes() for file in chosen}) as place:
        for name, value in (("ENDPOINT_URL", place), ("ANON", "true")):
            monkeypatch.setenv(f"FSSPEC_S3_{name}", value)
        into = tmp_path / "here"
        told = run("index", "s3://bucket/photos", "--into", into, "--profile", profile).done()
    assert "164 pictures fetched" in told and len(work(told)) == 2
    assert sum(work(told)) == len(list(into.glob("*.png"))) - told.count("skipped '") - int(
        re.findall(r"(\d+) copies", told)[0]
    )
    alone = shutil.copytree(into, tmp_path / "alone", ignore=shutil.ignore_patterns(".imagescope"))
    index_folder(alone, profile=str(profile))
    assert published(into / ".imagescope") == published(alone / ".imagescope")


def records(out: Path) -> dict[str, dict[str, Any]]:
    """The whole lines of a run, without times; a query that is there twice fails."""
    path = out / "per_query.jsonl"
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    listed = [json.loads(line) for line in whole.splitlines()]
    assert len({record["qid"] for record in listed}) == len(listed)
    for record in listed:
        record["usage"].pop("seconds")
    return {record["qid"]: record for record in listed}


def test_a_killed_evaluation_goes_on_and_counts_every_query_once(
    run: Callable[..., Run], drawn: Path, log: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "plain.toml"
    profile.write_text(scripted_profile(f"tests.cluster.models:open_plain:{log}"))
    alone = evaluate("scenes", root=drawn, out=tmp_path / "alone", profile=str(profile), progress=False)
    command = ["eval", "scenes", "--root", drawn, "--profile", profile, "--out", tmp_path / "ray"]
    first = run(*command)
    first.until(lambda: records(tmp_path / "ray"))
    first.killed()
    before = records(tmp_path / "ray")
    told = run(*command).done()
    found, want = records(tmp_path / "ray"), records(tmp_path / "alone")
    assert 0 < len(before) < len(want) and before.items() <= found.items()
    assert list(found.items()) == list(want.items()), "in order too"
    made = json.loads((tmp_path / "ray" / "metrics.json").read_text())
    assert made["metrics"] == alone["metrics"] and made["queries"] == alone["queries"] == len(want)
    assert len(work(told)) == 2 and sum(work(told)) == len(want) - len(before)


KEY = "a key of ours"
CHECKPOINT = Path(sys.modules["imagescope_agent"].__file__ or "").parent / "mini" / "mllm"


def replicas(known: Set[int] = frozenset()) -> list[int]:
    """The processes of replicas that listen, without those that are known."""
    found = [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdecimal() and b"ServeReplica" in command(folder)
    ]
    return [each for each in found if each not in known]


def until(seen: Callable[[], bool]) -> None:
    for _ in range(12000):
        if seen():
            return
        time.sleep(0.05)
    raise AssertionError("nothing came of it")


def command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_replicas_of_a_model_answer_as_the_model_does_also_when_one_is_killed(nodes: TwoNodes) -> None:
    if importlib.util.find_spec("ray.serve") is None or importlib.util.find_spec("aiohttp_cors") is None:
        pytest.skip("Ray Serve is not installed: pip install 'imagescope-agent[serve-ray]'")
    asked = [
        [Request(text=f"Is there {what}?", images=(picture(number),)) for what in ("a circle", "a tree")]
        for number in range(40)
    ]

    async def choose(model: Endpoint | TransformersChat, seen: threading.Event) -> list[Choice]:
        async def one(requests: list[Request]) -> Choice:
            answer = await Role("verifier", model).choose(requests, ["Yes", "No"])
            seen.set()
            return answer

        return list(await asyncio.gather(*map(one, asked)))

    before = set(replicas())
    with serving(nodes, KEY, "mini", "verifier", "--port", 0, "--replicas", 2) as (url, process):
        pids = replicas(before)
        assert len(pids) == 2
        assert httpx.get(url + "/models").status_code == 401
        assert not open_to_others(pids)
        seen = threading.Event()

        def kill() -> None:
            seen.wait(120)
            os.kill(pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        there = asyncio.run(choose(Endpoint(url=url, key=SecretStr(KEY), pause=0.05), seen))
        killer.join()
        until(lambda: not Path(f"/proc/{pids[0]}").exists())  # its parent learns of its death a moment later
        assert process.poll() is None
        until(lambda: len(replicas({*before, *pids})) == 1)  # another one in its place
    here = asyncio.run(choose(TransformersChat(checkpoint=str(CHECKPOINT)), threading.Event()))
    for one, other in zip(there, here, strict=True):
        assert not one.notes and not one.refused and len(one.probabilities) == 2
        for row, twin in zip(one.probabilities, other.probabilities, strict=True):
            assert row == pytest.approx(twin, abs=1e-3)
    assert process.returncode == 0


def open_to_others(pids: list[int]) -> list[str]:
    """Addresses beyond this machine at which processes listen."""
    sockets = {
        str(link.readlink()).partition("[")[2].rstrip("]")
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    listening = [line[1].split(":")[0] for line in lines if line[3] == "0A" and line[9] in sockets]
    assert listening
    own = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    return [address for address in listening if address not in own]

"""A model on several devices: what a profile may say, and that its answers stay the same."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from imagescope_agent.errors import UnusableModel
from imagescope_agent.mllms.engine.backends.generate import GenerateBackend
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.config import EngineConfig, ModelConfig
from imagescope_agent.mllms.engine.engine import open_backend, open_engine
from imagescope_agent.mllms.engine.placement import Placement, place
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.mllms.checkpoints import build_internvl, build_qwen3_vl, picture

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("spread") / "qwen"
    build_qwen3_vl(made)
    return made


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"device_map": "autos"}, "did you mean 'auto'"),
        ({"device_map": "auto", "tp_plan": "auto"}, "leave one out"),
        ({"device_map": "auto", "device": "cpu"}, "leave one out"),
        ({"tp_plan": "auto", "device": "cpu"}, "leave one out"),
        ({"tp_plan": "mine"}, "use 'auto'"),
        ({"tp_plan": "auto"}, "torchrun"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_read(
    options: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(UnusableModel, match=told) as caught:
        asyncio.run(
            Role("x", TransformersChat(checkpoint="/nowhere", **options)).choose(
                [Request(text="?")], ["a", "b"]
            )
        )
    assert "\n" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnusableModel, match=r"imagescope-agent\[spread\]"):
        place(ModelConfig(checkpoint="x", device_map="auto"))


def requests() -> list[Request]:
    return [Request(text=f"Is it {each}?", images=(picture(each % 2),)) for each in range(4)]


def rows(model: TransformersChat) -> list[list[float]]:
    return asyncio.run(Role("x", model).choose(requests(), ["Yes", "No"])).probabilities


def test_a_device_map_changes_no_answer(folder: Path) -> None:
    pytest.importorskip("accelerate")
    mapped = TransformersChat(checkpoint=str(folder), device_map="auto")
    for row, twin in zip(rows(mapped), rows(TransformersChat(checkpoint=str(folder))), strict=True):
        assert row == pytest.approx(twin, abs=1e-4)
    assert isinstance(mapped.engine().backend, SharedPrefixBackend), "all of it fits on one device"


def test_weights_on_several_devices_are_run_by_the_model_itself(folder: Path) -> None:
    checkpoint = open_engine(ModelConfig(checkpoint=str(folder)), EngineConfig()).checkpoint
    assert isinstance(open_backend(checkpoint, EngineConfig()), SharedPrefixBackend)
    with torch.device("meta"):
        checkpoint.model.elsewhere = torch.nn.Parameter(torch.zeros(1))
    try:
        assert Placement(device=torch.device("cpu")).is_spread(checkpoint.model)
    finally:
        del checkpoint.model.elsewhere
    assert not Placement(device=torch.device("cpu")).is_spread(checkpoint.model)
    checkpoint.is_spread = True
    assert isinstance(open_backend(checkpoint, EngineConfig()), GenerateBackend)
    checkpoint.is_spread = False


@pytest.mark.slow
def test_two_processes_of_torchrun_answer_as_one(folder: Path, tmp_path: Path) -> None:
    """Tensor parallelism on the CPU; each process is asked the same."""
    shared = tmp_path / "internvl"
    build_internvl(shared)
    done = together(shared, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = rows(TransformersChat(checkpoint=str(shared), device="cpu"))
    for rank in range(2):
        told = json.loads((tmp_path / f"{rank}.json").read_text())
        for row, twin in zip(told["rows"], alone, strict=True):
            assert row == pytest.approx(twin, abs=1e-4)
    without_plan = together(folder, tmp_path)
    assert without_plan.returncode != 0 and "has no tp_plan for the layers" in without_plan.stderr


def together(checkpoint: Path, out: Path) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
               "--master-port", str(port), "-m", "tests.mllms.test_placement", str(checkpoint), str(out)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )


def main(folder: str, out: str) -> None:
    """One of the processes of the test above."""
    import torch.distributed

    model = TransformersChat(checkpoint=folder, tp_plan="auto")
    (Path(out) / f"{os.environ['RANK']}.json").write_text(json.dumps({"rows": rows(model)}))
    model.engine().close()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

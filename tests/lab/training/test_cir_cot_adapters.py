"""Training for large checkpoints: adapters, gradients of large batches in small parts, several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from imagescope_agent.cli import main
from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.lab.training.embedders import cir_cot_adapters, cir_cot_calibrate
from imagescope_agent.lab.training.embedders.cir_cot_cached import cached_backward
from imagescope_agent.lab.training.embedders.cir_cot_model import CotModel
from imagescope_agent.lab.training.workers import Workers
from imagescope_agent.mllms.engine.embed_token import EMBED_TOKEN
from imagescope_agent.retrieval.embedders import cir_cot
from imagescope_agent.retrieval.embedders.cir_cot import CotEmbedder
from tests.lab.training.cot_samples import NAMES, command, material
from tests.lab.training.test_cir_cot_packed import PICTURES, rows
from tests.mllms.checkpoints import build_idefics3, build_qwen3_vl
from tests.processes import run_in_processes


@pytest.fixture(scope="module", autouse=True)
def short_chains() -> Iterator[None]:
    """A model that has learnt nothing does not end its chains."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cir_cot_calibrate, "MOST", 1)
        patch.setattr(cir_cot, "MAX_CHAIN", 8)
        yield


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("cot") / "given")


@pytest.mark.parametrize("build", [build_qwen3_vl, build_idefics3])
def test_parts_leave_the_gradients_of_the_whole_batch(build: Any, tmp_path: Path) -> None:
    build(tmp_path / "start")
    torch.manual_seed(0)
    model = CotModel(str(tmp_path / "start"), 16, None)
    asked = rows(model)

    def loss(vectors: torch.Tensor, chain: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        scores = model.scale * vectors @ vectors.T
        return scores.logsumexp(-1).sum() + 2 * chain, {"chain": chain.detach()}

    def gradients() -> dict[str, torch.Tensor]:
        found = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
        model.zero_grad()
        return found

    vectors, chain = model(asked)
    loss(vectors, chain.mean())[0].backward()
    whole = gradients()
    metrics = cached_backward(model, asked, loss, part=2, workers=Workers(), half=False)
    parts = gradients()
    assert float(metrics["chain"]) == pytest.approx(float(chain.detach().mean()), rel=1e-4)
    assert whole.keys() == parts.keys() and len(whole) > 10
    for name, each in whole.items():
        torch.testing.assert_close(parts[name], each, atol=1e-3, rtol=1e-3, msg=name)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: each.float() for file in folder.glob("*.safetensors") for name, each in load_file(file).items()
    }


def test_the_whole_command_with_adapters_makes_a_model_that_is_hosted_as_any(
    given: Path, tmp_path: Path
) -> None:
    options = {"lora": 4, "part": 7, "rate": 5e-3, "save-every": 2}
    assert main(command(given, tmp_path / "out", **options)) == 0
    model = CotEmbedder(tmp_path / "out")
    assert model.images(PICTURES).shape == (3, model.dimension)
    assert model.chat_model.invoke("make it red").content is not None
    before, after = weights(given / "start"), weights(tmp_path / "out")
    assert not [name for name in after if "lora" in name]
    changed = {
        name
        for name in before
        if not torch.allclose(before[name], after[name][: len(before[name])], atol=2e-3)
    }
    assert any("q_proj" in name for name in changed) and not any("visual" in name for name in changed)
    kept = load_file(tmp_path / "out" / "training" / "state.safetensors")
    assert not any("base_layer" in name or "visual" in name for name in kept)  # what is trained alone


def test_a_stopped_training_of_adapters_goes_on(given: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"lora": 2, "save-every": 1, "rate": 5e-3}
    assert main(command(given, tmp_path / "whole", **options)) == 0
    code = (
        "import sys; from tests.lab.training.cot_samples import stopped; stopped(sys.argv[1], sys.argv[2], 3)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(given), str(tmp_path / "part")], check=False, timeout=1800
    )
    assert (tmp_path / "part" / "training" / "state.safetensors").exists()
    assert main(command(given, tmp_path / "part", **options)) == 0
    whole, part = (weights(tmp_path / name) for name in ("whole", "part"))
    assert all(torch.equal(whole[name], part[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_end_where_one_does(given: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"part": 5, "steps": 4, "align-steps": 2}
    assert main(command(given, tmp_path / "one", **options)) == 0
    said = [
        sys.executable,
        "-m",
        "tests.lab.training.cot_samples",
        "run",
        json.dumps(command(given, tmp_path / "two", **options)),
    ]
    run_in_processes(said, 2)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, each in one.items():
        torch.testing.assert_close(two[name], each, atol=5e-3, rtol=2e-2, msg=name)


def test_without_peft_the_extra_is_named(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    assert main(command(given, tmp_path / "out", lora=4)) != 0
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "imagescope-agent[train]" in told


def test_a_model_without_known_layers_is_told(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cir_cot_adapters, "TARGETS", "nothing")
    with pytest.raises(BackendUnavailable, match="without --lora"):
        CotModel(str(given / "start"), 16, None, lora=2)


def test_new_tokens_are_learnt_with_adapters_and_old_ones_stay(given: Path) -> None:
    model = CotModel(str(given / "start"), 16, None, lora=2)
    vectors, chains = model(rows(model))
    loss: Any = vectors[:, 0].sum() + chains.sum()
    loss.backward()
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert all(
        "lora" in name or "token" in name or name in ("projection.weight", "log_scale") for name in trained
    )
    language: Any = model.language
    table = language.get_input_embeddings()
    token = model.checkpoint.tokenizer.convert_tokens_to_ids(EMBED_TOKEN)
    assert token >= 0 and len(NAMES) == 12 and table is not None

"""Rows that share their beginning in one forward pass: the same numbers as rows passed one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from imagescope_agent.cli import main
from imagescope_agent.lab.training.embedders import cir_cot_calibrate
from imagescope_agent.lab.training.embedders.cir_cot_model import CotModel
from imagescope_agent.mllms.engine.embed_token import EMBED_TOKEN, EmbedRow
from imagescope_agent.replies.chains import Chain
from imagescope_agent.retrieval.embedders.cir_cot import PROJECTION
from tests.lab.training.cot_samples import command, material
from tests.mllms.checkpoints import build_qwen3_vl


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CotModel:
    folder = tmp_path_factory.mktemp("packed") / "start"
    build_qwen3_vl(folder)
    torch.manual_seed(0)
    return CotModel(str(folder), 32, None)


PICTURES = [Image.effect_noise((48 + 16 * n, 64), 80 + n).convert("RGB") for n in range(3)]


def rows(model: CotModel) -> list[EmbedRow]:
    pictures = PICTURES
    chain = Chain(caption="a red square", reasoning="Removal: it\nAddition: a hat", conclusion="a hat")
    other = Chain(caption="nothing", reasoning=f"Addition: {EMBED_TOKEN}", conclusion="a long sentence of it")
    return [
        EmbedRow(image=pictures[0]),
        model.row(pictures[0], "make it blue"),
        model.row(None, "two cats"),
        model.row(pictures[0], "make it blue", chain),
        model.row(pictures[1], "make it blue", other),
        model.row(pictures[0], "make it blue"),  # asked twice
        model.row(None, "two cats", chain),
        EmbedRow(image=pictures[2]),
        model.row(pictures[0], "make it blue", other),
    ]


def test_vectors_losses_and_gradients_are_those_of_single_rows(model: CotModel) -> None:
    def run(packed: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        model._packed, kept = packed, model._packed
        try:
            vectors, losses = model(rows(model))
            loss: Any = losses.mean()
            model.zero_grad()
            (vectors[:, 0].sum() + loss).backward()
            language: Any = model.language
            table = language.get_input_embeddings()
            gradient = table.weight.grad.clone()
        finally:
            model._packed = kept
        return vectors, loss, gradient

    assert model._packed is not None
    for one, other in zip(run(model._packed), run(None), strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_what_begins_alike_passes_once(model: CotModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    language = model.checkpoint.language_model
    before = language.register_forward_pre_hook(
        lambda _module, _given, named: seen.append(named["inputs_embeds"].shape[0]), with_kwargs=True
    )
    try:
        asked = rows(model)
        model(asked)
    finally:
        before.remove()
    assert len(seen) == 1 and seen[0] < len(asked)


def trained(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    monkeypatch.setattr(cir_cot_calibrate, "MOST", 1)
    monkeypatch.setattr("imagescope_agent.retrieval.embedders.cir_cot.MAX_CHAIN", 8)
    assert main(command(folder, out, **{"steps": 10, "align-steps": 5, **options})) == 0
    return (out / "training" / "cir_cot.jsonl").read_text().splitlines()


def test_chains_are_learnt_from_the_first_step_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = material(tmp_path / "given")
    first, last = trained(folder, tmp_path / "out", monkeypatch)
    assert '"chain"' in first and '"caption_r1"' in first and '"full_r1"' in last
    first, last = trained(folder, tmp_path / "paper", monkeypatch, **{"align-txt": 0})
    assert '"chain"' not in first and '"chain"' in last

    start = command(folder, tmp_path / "further")
    start[start.index("--start") + 1] = str(tmp_path / "out")
    assert main([*start, "--rate", "1e-9"]) == 0  # a finished model is trained further, its projection too
    one, other = ((tmp_path / name / PROJECTION).read_bytes() for name in ("out", "further"))
    assert one == other

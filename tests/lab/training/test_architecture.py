"""Growing a saved chat model keeps what it computes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from imagescope_agent.lab.training.network import architecture
from imagescope_agent.lab.training.network.architecture import (
    chat_model,
    grow_chat_model,
    save_chat_model,
    save_text_model,
)
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat


def test_a_grown_model_computes_what_the_saved_one_does(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "TEXT_LAYERS", 6)
    save_chat_model(chat_model(tokenizer), tokenizer, tmp_path)
    monkeypatch.undo()
    saved = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    deep, grown = grow_chat_model(tmp_path, ["a new piece"])
    assert len(deep.model.language_model.layers) == architecture.TEXT_LAYERS == 7
    assert len(grown) == len(tokenizer) + 1
    ids = torch.tensor([tokenizer("a red house at night").input_ids])
    with torch.no_grad():
        old, new = saved(input_ids=ids).logits, deep(input_ids=ids).logits
    torch.testing.assert_close(new[..., : old.shape[-1]], old, atol=1e-4, rtol=1e-3)


def test_a_model_without_its_vision_tower_scores_the_same(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = chat_model(tokenizer)
    save_chat_model(model, tokenizer, tmp_path / "seeing")
    save_text_model(model, tokenizer, tmp_path / "reading")
    requests = [
        Request(text=text) for text in ("a red house at night", "Request: two dogs\nReferences:\nimage 1")
    ]

    def scores(name: str) -> list[list[float]]:
        role = Role("talker", TransformersChat(checkpoint=str(tmp_path / name)))
        return asyncio.run(role.choose(requests, ["Yes", "No"])).probabilities

    seeing, reading = scores("seeing"), scores("reading")
    assert reading == [pytest.approx(row, abs=1e-6) for row in seeing] and seeing[0] != seeing[1]
    assert not any("visual" in name for name in _stored(tmp_path / "reading"))
    assert not (tmp_path / "reading" / "processor_config.json").exists()


@pytest.mark.parametrize("save", [save_chat_model, save_text_model])
def test_a_tied_output_head_is_written_once_and_training_goes_on_from_what_was_saved(
    save: Callable[..., None], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = chat_model(tokenizer, seed=3)
    save(model, tokenizer, tmp_path)
    assert not any("lm_head" in name for name in _stored(tmp_path))
    again, _ = grow_chat_model(tmp_path, [])
    ids = torch.tensor([tokenizer("a red house at night").input_ids])
    with torch.no_grad():
        torch.testing.assert_close(
            again(input_ids=ids).logits, model(input_ids=ids).logits, atol=0.05, rtol=0.01
        )


def _stored(folder: Path) -> list[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return list(file.keys())

"""Growing a saved chat model keeps what it computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from imagescope_agent.lab.training.network import architecture
from imagescope_agent.lab.training.network.architecture import chat_model, grow_chat_model, save_chat_model


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

"""The talker learns from text alone, sees as its start does, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.training import mini_talk
from imagescope_agent.lab.training.architecture import chat_model, save_chat_model
from imagescope_agent.lab.training.mini_talk import Talks, train_mini_talk
from imagescope_agent.lab.training.packing import Packer
from imagescope_agent.lab.training.talking import ask_branch, fold_branch, propose_branch
from imagescope_agent.lab.training.tokenizer import train_tokenizer

FEW = ((fold_branch, 2, 1.0), (ask_branch, 7, 0.5), (propose_branch, 2, 1.0))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(examples=60)


@pytest.fixture
def start(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mini_talk, "ROWS", FEW)
    save_chat_model(chat_model(tokenizer), tokenizer, tmp_path / "start")
    return tmp_path / "start"


def test_a_stopped_talker_ends_as_an_undisturbed_one(start: Path, tmp_path: Path) -> None:
    assert train_mini_talk(tmp_path / "a", tmp_path / "whole", start=start, steps=3)
    assert not train_mini_talk(tmp_path / "b", tmp_path / "halves", start=start, steps=3, until=0)
    stopped = load_file(tmp_path / "halves" / "model.safetensors")
    assert train_mini_talk(tmp_path / "b", tmp_path / "halves", start=start, steps=3)
    before = load_file(start / "model.safetensors")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    learnt = [name for name in before if not torch.equal(before[name], one[name])]
    assert learnt and not any("visual" in name for name in learnt)
    assert any(not torch.equal(stopped[name], other[name]) for name in learnt)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-3, rtol=1e-2)


def test_a_step_is_always_the_same_and_of_every_sort(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mini_talk, "ROWS", FEW)
    talks, packer = Talks(), Packer(tokenizer)
    one, two = list(talks.step(1, packer)), list(talks.step(1, packer))
    assert [packed.ids.tolist() for packed in one] == [packed.ids.tolist() for packed in two]
    assert [packed.ids.tolist() for packed in talks.step(0, packer)] != [
        packed.ids.tolist() for packed in one
    ]
    assert [len(packed.ids) for packed in one] == [2, 6, 1, 2]  # rows of like length together, at most six
    assert [packed.share for packed in one] == pytest.approx([1, 3 / 7, 0.5 / 7, 1])
    assert not any(len(packed.pictures) for packed in one)

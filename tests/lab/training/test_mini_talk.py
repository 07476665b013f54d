"""The talker trains on text alone, loses the vision tower, and resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.data.packing import Packer
from imagescope_agent.lab.training.further import Lesson, teach
from imagescope_agent.lab.training.mini_edit import EDIT
from imagescope_agent.lab.training.mini_talk import TALK
from imagescope_agent.lab.training.network.architecture import chat_model, save_chat_model

FEW_TURNS = ((state_update_turn, 2, 1.0), (question_wording_turn, 7, 0.5), (question_proposal_turn, 2, 1.0))
FEW = replace(TALK, turns=FEW_TURNS)


@pytest.fixture
def start(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    save_chat_model(chat_model(tokenizer), tokenizer, tmp_path / "start")
    return tmp_path / "start"


def test_a_resumed_training_equals_an_uninterrupted_one(start: Path, tmp_path: Path) -> None:
    assert teach(FEW, tmp_path / "a", tmp_path / "whole", start=start, steps=3)
    assert not teach(FEW, tmp_path / "b", tmp_path / "halves", start=start, steps=3, time_limit=0)
    stopped = load_file(tmp_path / "halves" / "model.safetensors")
    assert teach(FEW, tmp_path / "b", tmp_path / "halves", start=start, steps=3)
    before = {
        name.replace("model.language_model.", "model."): value
        for name, value in load_file(start / "model.safetensors").items()
        if "visual" not in name
    }
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert set(one) == set(before)
    learnt = [name for name in before if not torch.equal(before[name], one[name])]
    assert learnt
    assert any(not torch.equal(stopped[name], other[name]) for name in learnt)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-3, rtol=1e-2)


def test_a_step_is_reproducible_and_has_turns_of_every_type(tokenizer: PreTrainedTokenizerFast) -> None:
    talks, packer = FEW, Packer(tokenizer)
    one, two = list(talks.step(1, packer)), list(talks.step(1, packer))
    assert [packed.ids.tolist() for packed in one] == [packed.ids.tolist() for packed in two]
    assert [packed.ids.tolist() for packed in talks.step(0, packer)] != [
        packed.ids.tolist() for packed in one
    ]
    assert [len(packed.ids) for packed in one] == [2, 6, 1, 2]  # rows of like length together, at most six
    assert [packed.loss_scale for packed in one] == pytest.approx([1, 3 / 7, 0.5 / 7, 1])
    assert not any(len(packed.images) for packed in one)


@pytest.mark.parametrize("lesson", [TALK, EDIT], ids=lambda lesson: lesson.name)
def test_a_step_of_a_lesson_is_always_the_same_and_no_other(
    tokenizer: PreTrainedTokenizerFast, lesson: Lesson
) -> None:
    packer = Packer(tokenizer)
    three, again, four = ([packed.ids.tolist() for packed in lesson.step(n, packer)] for n in (3, 3, 4))
    assert three == again != four


def test_what_may_be_shown_pictures_keeps_its_vision_tower(start: Path, tmp_path: Path) -> None:
    assert teach(EDIT, tmp_path / "work", tmp_path / "made", start=start, steps=1, time_limit=0)
    before, made = (load_file(each / "model.safetensors") for each in (start, tmp_path / "made"))
    seen = [name for name in before if "visual" in name]
    assert seen and all(torch.equal(before[name], made[name]) for name in seen)

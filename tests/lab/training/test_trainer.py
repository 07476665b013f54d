"""The trainer computes what the saved model computes, reduces the loss, and resumes exactly."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast

from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.batch import on_device
from imagescope_agent.lab.training.data.comparison_turns import listwise_turns
from imagescope_agent.lab.training.data.dialogue_turns import question_wording_turn
from imagescope_agent.lab.training.data.image_pool import small_image
from imagescope_agent.lab.training.data.image_turns import caption_turn, verdict_turns
from imagescope_agent.lab.training.data.mixture import TrainingPlan
from imagescope_agent.lab.training.data.packing import Packer
from imagescope_agent.lab.training.data.turn import NO_IMAGES, ImageContext
from imagescope_agent.lab.training.network.architecture import chat_model, save_chat_model
from imagescope_agent.lab.training.network.auxiliary_heads import FORMER_HEAD_NAMES
from imagescope_agent.lab.training.network.tokenizer import JSON_TOKENS
from imagescope_agent.lab.training.trainer import StepDataset, Trainer, _multiplies_bfloat16, train
from tests.lab.training.samples import SmallMixture, hard_candidates


def test_packed_turns_equal_separate_turns(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """The packed row, asked for every label, gives what the saved checkpoint gives turn by turn."""
    model = chat_model(tokenizer).eval()
    for weight in model.parameters():
        weight.data = weight.data.half().float()  # so that the 16-bit checkpoint is the same model
    save_chat_model(model, tokenizer, tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    rng = Random(5)
    scene = random_scene(rng)
    pixels = small_image(scene)
    turns = [caption_turn(scene), *verdict_turns(scene, rng, 4)]
    trainer = Trainer(model, tokenizer, TrainingPlan(steps=1), tmp_path)
    rows = trainer.packer.pack([(ImageContext.unlabelled(1), turns)])
    with torch.no_grad():
        hidden = trainer.hidden_states(on_device(rows, trainer.device), torch.from_numpy(pixels)[None])
        packed = model.lm_head(hidden)[0].cpu()
        for turn in turns:
            content = [
                {"type": "image", "image": Image.fromarray(pixels)},
                {"type": "text", "text": turn.prompt},
            ]
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                add_generation_prompt=True,
            )
            alone = loaded(**inputs).logits[0, -1]
            answer = tokenizer(turn.answer).input_ids[0]
            places = rows.answers["column"][rows.answers["token"] == answer]
            gaps = [(packed[place] - alone).abs().max().item() for place in places]
            assert min(gaps) < 1e-3


def test_packed_candidates_equal_a_separate_turn(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = chat_model(tokenizer).eval()
    for weight in model.parameters():
        weight.data = weight.data.half().float()  # so that the 16-bit checkpoint is the same model
    save_chat_model(model, tokenizer, tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    _, scenes, query = hard_candidates(9)
    images, turns = listwise_turns(query, scenes[:3], with_steps=True, composed=True)
    pixels = np.stack([small_image(scene) for scene in (scenes[4], *scenes[:3])])
    rows = Packer(tokenizer).pack([(images, turns)])
    trainer = Trainer(model, tokenizer, TrainingPlan(steps=1), tmp_path)
    content: list[dict[str, object]] = []
    for label, seen, text in zip(images.labels, pixels, images.texts, strict=True):
        content += [{"type": "text", "text": label}, {"type": "image", "image": Image.fromarray(seen)}]
        content += [{"type": "text", "text": text.text}] if text else []
    with torch.no_grad():
        hidden = trainer.hidden_states(on_device(rows, trainer.device), torch.from_numpy(pixels))
        packed = model.lm_head(hidden)[0].cpu()
        opening = tokenizer.convert_tokens_to_ids(JSON_TOKENS[-2])
        ends = rows.answers["column"][rows.answers["token"] == opening]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": turns[0].prompt}]}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )
        alone = loaded(**inputs).logits[0, -1]
    assert min((packed[end] - alone).abs().max().item() for end in ends) < 1e-3


def test_a_resumed_training_equals_an_uninterrupted_one(
    tokenizer: PreTrainedTokenizerFast, pool: Path, tmp_path: Path
) -> None:
    plan = TrainingPlan(
        steps=6,
        single_images=2,
        questions_per_image=3,
        image_pairs=2,
        text_queries=1,
        dialogs=1,
        candidates=2,
        warmup_steps=2,
        save_every=3,
    )
    mixture = SmallMixture(pool, plan)
    whole = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path / "whole")
    train(whole, mixture)
    first = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path / "halves")
    steps = StepDataset(mixture, first.packer)
    for number in range(3):
        first.advance(steps[number], mixture.pool)
    first.save()
    second = Trainer(chat_model(tokenizer, seed=99), tokenizer, plan, tmp_path / "halves")
    assert second.resume() and second.step == 3
    train(second, mixture)
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_checkpoints_with_former_head_names_are_read(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    plan = TrainingPlan(steps=2)
    saved = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path)
    saved.advance([saved.packer.pack([(NO_IMAGES, [question_wording_turn(Random(1))])])], None)
    saved.save()
    tensors = load_file(tmp_path / "state.safetensors")
    for old, new in FORMER_HEAD_NAMES.items():
        for name in [name for name in tensors if name.startswith(f"heads.{new}.")]:
            tensors[name.replace(new, old)] = tensors.pop(name)
    save_file(tensors, tmp_path / "state.safetensors")
    resumed = Trainer(chat_model(tokenizer, seed=9), tokenizer, plan, tmp_path)
    assert resumed.resume()
    for name, value in saved.heads.state_dict().items():
        assert torch.equal(value, resumed.heads.state_dict()[name]), name


def test_the_loss_falls(tokenizer: PreTrainedTokenizerFast, pool: Path, tmp_path: Path) -> None:
    plan = TrainingPlan(
        steps=25,
        single_images=2,
        questions_per_image=3,
        image_pairs=1,
        text_queries=1,
        dialogs=1,
        candidates=2,
        warmup_steps=3,
    )
    mixture = SmallMixture(pool, plan)
    trainer = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path)
    images, rows = mixture.single_images(Random(1))
    pixels = mixture.pool.take(np.array(images))
    batch = on_device(trainer.packer.pack(rows, images), trainer.device)
    steps = StepDataset(mixture, trainer.packer)
    with torch.no_grad():
        before = trainer.loss(batch, pixels)[0].item()
    for number in range(25):
        trainer.advance(steps[number], mixture.pool)
    with torch.no_grad():
        assert trainer.loss(batch, pixels)[0].item() < 0.8 * before


@pytest.mark.parametrize(("capability", "pays"), [("DEFAULT", False), ("AVX2", False), ("AVX512", True)])
def test_bfloat16_is_used_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capability: str, pays: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert _multiplies_bfloat16(torch.device("cpu")) is pays
    assert _multiplies_bfloat16(torch.device("cuda")), "a GPU does"

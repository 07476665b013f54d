"""Dense labels, the batched vision tower, and its pretraining."""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.lab.training.data.image_pool import open_shard, small_image
from imagescope_agent.lab.training.network.architecture import chat_processor, vision_config
from imagescope_agent.lab.training.network.image_grid import GRID, centre_token, covered_tokens, patches
from imagescope_agent.lab.training.vision_pretraining import dense_labels, patch_states, train_vision
from tests.lab.training.samples import BOAT, HOUSE, SCENE


def test_the_batched_forward_pass_equals_the_towers_own() -> None:
    torch.manual_seed(1)
    tower = Qwen3VLVisionModel(vision_config()).eval()
    torch.nn.init.normal_(tower.pos_embed.weight)
    pixels = torch.randint(0, 255, (3, 128, 128, 3), dtype=torch.uint8)
    with torch.no_grad():
        states, tokens = patch_states(tower, pixels)
        plain = tower(patches(pixels), grid_thw=torch.tensor([[1, GRID, GRID]] * 3), return_dict=True)
    torch.testing.assert_close(states, plain.last_hidden_state, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tokens, plain.pooler_output, atol=1e-4, rtol=1e-4)


def test_patches_equal_the_processors(tokenizer: PreTrainedTokenizerFast) -> None:
    scene = random_scene(Random(4))
    small = small_image(scene)
    processor = chat_processor(tokenizer)
    expected = processor.image_processor(images=[Image.fromarray(small)], return_tensors="pt").pixel_values
    torch.testing.assert_close(patches(torch.from_numpy(small)[None]), expected, atol=1e-3, rtol=0)


def test_dense_labels_of_one_thing() -> None:
    thing = Thing(kind="car", colour="blue", size="large", x=0.5, y=0.5, diameter=0.35)
    target = dense_labels([Scene(things=(thing,), setting="beach")])
    assert int((target["kind"] > 0).sum()) == 16
    assert set(target["colour"].tolist()) == {0, 5}  # nothing, blue


def test_the_centre_token_of_a_thing_is_covered() -> None:
    for thing in SCENE.things:
        assert centre_token(thing) in covered_tokens(thing)
    assert centre_token(HOUSE) == 2 * 4 + 0
    assert centre_token(BOAT) == 1 * 4 + 3


def test_the_tower_learns_and_resumes(pool: Path, tmp_path: Path) -> None:
    pixels, scenes = open_shard(pool / "singles")
    tower = Qwen3VLVisionModel(vision_config())
    train_vision(tower, pixels, scenes, out=tmp_path, steps=8, batch=8)
    lines = (tmp_path / "vision.jsonl").read_text().splitlines()
    assert len(lines) == 2
    train_vision(tower, pixels, scenes, out=tmp_path, steps=8, batch=8)  # no steps left
    assert len((tmp_path / "vision.jsonl").read_text().splitlines()) == 2

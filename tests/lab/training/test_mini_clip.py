"""The mini open_clip model trains and opens as an embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from imagescope_agent.lab.training.data.image_pool import open_shard
from imagescope_agent.lab.training.mini_clip import (
    clip_config,
    copy_vision_tower,
    preprocess_pixels,
    save_clip,
    text_ids,
    train_clip,
    train_clip_tokenizer,
)
from imagescope_agent.lab.training.network.architecture import vision_config


def test_it_starts_from_the_vision_tower_trains_and_opens(pool: Path, tmp_path: Path) -> None:
    from imagescope_agent.retrieval.embedders import open_embedder

    pixels, scenes = open_shard(pool / "singles")
    tokenizer = train_clip_tokenizer(examples=200)
    assert tokenizer.token_to_id("<|end|>") == tokenizer.get_vocab_size() - 1
    torch.manual_seed(0)
    model = open_clip.CLIP(**clip_config(tokenizer.get_vocab_size()))
    tower = Qwen3VLVisionModel(vision_config())
    copy_vision_tower(model, tower)
    block: Any = model.visual.transformer.resblocks[2]
    source: Any = tower.blocks[2]
    torch.testing.assert_close(block.mlp.c_fc.weight, source.mlp.linear_fc1.weight)
    train_clip(model, tokenizer, pixels, scenes, out=tmp_path / "work", steps=12, batch=16)
    save_clip(model.eval(), tokenizer, tmp_path / "clip")
    embedder = open_embedder(str(tmp_path / "clip"))
    texts = ["a red house at night", "two cats"]
    with torch.no_grad():
        expected_texts = model.encode_text(text_ids(tokenizer, texts), normalize=True).numpy()
        expected_images = model.encode_image(preprocess_pixels(np.array(pixels[:2])), normalize=True).numpy()
    np.testing.assert_allclose(embedder.texts(texts), expected_texts, atol=5e-3)
    images = [Image.fromarray(np.asarray(each)) for each in pixels[:2]]
    np.testing.assert_allclose(embedder.images(images), expected_images, atol=2e-2)

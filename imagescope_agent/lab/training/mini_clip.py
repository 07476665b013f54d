"""The mini open_clip model: contrastive training (CLIP, arXiv 2103.00020) from the pretrained vision tower.

The image tower starts from the chat model's, see `vision_pretraining`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from imagescope_agent.lab.scenes.language import caption, free_caption
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.network.image_grid import IMAGE_SIDE, PATCH

CONTEXT = 56  # tokens: the caption of six things, with room
PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"


def clip_config(vocabulary: int) -> dict[str, object]:
    """open_clip's model configuration: the chat model's vision tower, and 3 text layers of width 192."""
    return {
        "embed_dim": 192,
        "vision_cfg": {
            "image_size": IMAGE_SIDE,
            "layers": 4,
            "width": 192,
            "head_width": 32,
            "patch_size": PATCH,
            "mlp_ratio": 3.0,
            "no_ln_pre": True,
            "pool_type": "avg",
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocabulary,
            "width": 192,
            "heads": 6,
            "layers": 3,
        },
    }


def train_clip_tokenizer(seed: int = 0, examples: int = 4000) -> Tokenizer:
    """Lower-case byte-level BPE trained on captions and queries; end-of-text has the largest id."""
    rng = Random(f"clip corpus {seed}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=768,
        special_tokens=[PAD, START],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((random_text(random_scene(rng), rng) for _ in range(examples)), trainer)
    tokenizer.add_special_tokens([END])
    return tokenizer


def random_text(scene: Scene, rng: Random) -> str:
    """A training text of a scene: a caption, complete or not, a query or one of its descriptions."""
    choice = rng.random()
    if choice < 0.25:
        return caption(scene)
    if choice < 0.6:
        return free_caption(scene, rng, keep=rng.choice((1.0, 0.8, 0.5)))
    query = next((q for _ in range(10) if (q := text_query(scene, rng.choice(TEXT_KINDS), rng))), None)
    if query is None:
        return free_caption(scene, rng)
    return rng.choice((query.text, query.core, query.enhanced, query.full))


def text_ids(tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids (n, 56): start, text, end, padding."""
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    rows = torch.full((len(texts), CONTEXT), int(tokenizer.token_to_id(PAD) or 0))
    for row, coded in zip(rows, tokenizer.encode_batch(texts), strict=True):
        ids = [start, *coded.ids[: CONTEXT - 2], end]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def copy_vision_tower(model: open_clip.CLIP, tower: Qwen3VLVisionModel) -> None:
    """Copy the chat model's vision tower; what has no counterpart (rotary positions, class token) stays as it is."""
    visual = model.visual
    with torch.no_grad():
        embed: Any = tower.patch_embed.proj
        source: Any
        visual.conv1.weight.copy_(embed.weight.squeeze(2))
        visual.positional_embedding[1:].copy_(tower.pos_embed.weight + embed.bias)
        for block, source in zip(visual.transformer.resblocks, tower.blocks, strict=True):
            block.attn.in_proj_weight.copy_(source.attn.qkv.weight)
            block.attn.in_proj_bias.copy_(source.attn.qkv.bias)
            block.attn.out_proj.load_state_dict(source.attn.proj.state_dict())
            block.ln_1.load_state_dict(source.norm1.state_dict())
            block.ln_2.load_state_dict(source.norm2.state_dict())
            block.mlp.c_fc.load_state_dict(source.mlp.linear_fc1.state_dict())
            block.mlp.c_proj.load_state_dict(source.mlp.linear_fc2.state_dict())


def preprocess_pixels(pixels: np.ndarray) -> torch.Tensor:
    """(n, 128, 128, 3) uint8 -> (n, 3, 128, 128) float32 in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def train_clip(
    model: open_clip.CLIP,
    tokenizer: Tokenizer,
    pixels: np.ndarray,
    scenes: list[Scene],
    *,
    out: Path,
    steps: int,
    batch: int = 128,
    peak: float = 1e-3,
    tower_lr_scale: float = 0.4,
    seed: int = 0,
) -> None:
    """Train with symmetric InfoNCE over the batch; resumes from `out`, logs metrics to `out/clip.jsonl`."""
    tower = list(model.visual.parameters())
    in_tower = {id(parameter) for parameter in tower}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in in_tower]
    groups = [{"params": rest, "lr_scale": 1.0}, {"params": tower, "lr_scale": tower_lr_scale}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), weight_decay=0.05)
    first = load_checkpoint(out, {"model": model}, optimizer)
    log, started = MetricsLog(out / "clip.jsonl"), time.monotonic()
    for step in range(first, steps):
        rng = Random(f"{seed}-{step}")
        for group in optimizer.param_groups:
            group["lr"] = group["lr_scale"] * learning_rate(step, steps, peak=peak, warmup=60)
        chosen = sorted(rng.sample(range(len(scenes)), batch))
        texts = text_ids(tokenizer, [random_text(scenes[i], rng) for i in chosen])
        loss, accuracy = _contrastive_loss(*model(preprocess_pixels(pixels[chosen]), texts))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([*rest, *tower], 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6052)  # CLIP's bound of 100
        if step % 25 == 0 or step == steps - 1:
            log.add(step, loss=loss.item(), right=accuracy.item(), seconds=time.monotonic() - started)
        if step % 100 == 99 or step == steps - 1:
            save_checkpoint(out, {"model": model}, optimizer)


def _contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric InfoNCE of embeddings (n, width), and the accuracy of choosing the image of a text."""
    logits = scale * image @ text.T
    target = torch.arange(len(logits))
    loss = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
    return loss, (logits.argmax(0) == target).float().mean()


def save_clip(model: open_clip.CLIP, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the folder that the open_clip embedder opens: configuration, float16 safetensors, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {
        "size": [IMAGE_SIDE, IMAGE_SIDE],
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    config = {"model_cfg": clip_config(tokenizer.get_vocab_size()), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").chmod(0o644)
    tokenizer.save(str(folder / "tokenizer.json"))

"""First stage of the mini chat model: pretrains the vision tower on dense labels of the scene graph.

From yes/no answers a vision tower of this size does not learn in reasonable time. Linear heads on the last
block's patch states, and on the merged tokens that the language model gets, predict each patch's kind, colour, size,
setting and the offset to its thing's centre; they are discarded afterwards.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel, apply_rotary_pos_emb_vision

from imagescope_agent.lab.scenes.world import COLOURS, KINDS, SETTINGS, SIZES, Scene
from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.network.image_grid import GRID, MERGE, patch_centres, patches

_CLASSES = {
    "kind": len(KINDS) + 1,
    "colour": len(COLOURS) + 1,
    "size": len(SIZES) + 1,
    "setting": len(SETTINGS),
}
_OFFSETS = 2
_WEIGHTS = {"kind": 1.0, "colour": 1.0, "size": 1.0, "setting": 0.3}


class DenseHeads(nn.Module):
    """Linear probes on states that each stand for one or more patches: four labels and the offset to the thing.

    Args:
        width: of a state.
        patches_each: how many patches a state stands for (1, or 4 for the language model's merged tokens).
    """

    def __init__(self, width: int, patches_each: int = 1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.labels = nn.ModuleDict(
            {name: nn.Linear(width, n * patches_each) for name, n in _CLASSES.items()}
        )
        self.offset = nn.Linear(width, _OFFSETS * patches_each)

    def predict(self, states: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits (patches, classes) by label, and offsets (patches, 2), in merge order."""
        states = self.norm(states)
        scores = {name: head(states).reshape(-1, _CLASSES[name]) for name, head in self.labels.items()}
        scores["offset"] = self.offset(states).reshape(-1, _OFFSETS)
        return scores

    def forward(self, states: torch.Tensor, target: dict[str, torch.Tensor]) -> torch.Tensor:
        """Weighted loss of states (n, width) for targets of all their patches."""
        scores = self.predict(states)
        covered = target["kind"] > 0
        loss = 0.5 * functional.l1_loss(scores["offset"][covered], target["offset"][covered])
        for name, weight in _WEIGHTS.items():
            loss = loss + weight * functional.cross_entropy(scores[name], target[name])
        return loss

    def accuracy(self, states: torch.Tensor, target: dict[str, torch.Tensor]) -> dict[str, float]:
        """Accuracy on patches that a thing covers, by label (setting: on all patches)."""
        scores = self.predict(states)
        covered = target["kind"] > 0
        result = {}
        for name in _CLASSES:
            right = scores[name].argmax(-1) == target[name]
            result[name] = float((right if name == "setting" else right[covered]).float().mean())
        return result


def dense_labels(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """Labels of the nearest covering thing per patch: (n * 64,) class ids, 0 for none; offsets (n * 64, 2)."""
    centres = patch_centres().numpy()
    count = GRID * GRID
    labels = {name: np.zeros((len(scenes), count), dtype=np.int64) for name in _CLASSES}
    offsets = np.zeros((len(scenes), count, 2), dtype=np.float32)
    for i, scene in enumerate(scenes):
        labels["setting"][i] = SETTINGS.index(scene.setting)
        nearest = np.full(count, np.inf)
        for thing in scene.things:
            delta = np.array([thing.x, thing.y]) - centres
            inside = np.abs(delta).max(axis=1) / (thing.diameter / 2 + 0.25 / GRID)
            closer = (inside < 1) & (inside < nearest)
            nearest = np.where(closer, inside, nearest)
            labels["kind"][i, closer] = KINDS.index(thing.kind) + 1
            labels["colour"][i, closer] = COLOURS.index(thing.colour) + 1
            labels["size"][i, closer] = SIZES.index(thing.size) + 1
            offsets[i, closer] = delta[closer] * 4
    target = {name: torch.from_numpy(values.reshape(-1)) for name, values in labels.items()}
    target["offset"] = torch.from_numpy(offsets.reshape(-1, 2))
    return target


def patch_states(tower: Qwen3VLVisionModel, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tower's forward pass for images of one size as a dense batch (twice as fast as its ragged one).

    Args:
        tower: the vision tower; its own forward pass gives the same numbers.
        pixels: (n, 128, 128, 3) uint8.

    Returns:
        patch states (n * 64, width) and merged image tokens (n * 16, text width), in merge order.
    """
    n, count = pixels.shape[0], GRID * GRID
    embed = tower.patch_embed.proj
    states = functional.linear(patches(pixels), embed.weight.flatten(1), embed.bias).view(n, count, -1)
    column, row = patch_centres().to(pixels.device).mul(GRID).long().unbind(-1)
    states = states + tower.pos_embed(row * GRID + column)
    cos, sin = tower.rotary_pos_emb(states, torch.stack([row, column], dim=-1))
    block: Any
    for block in tower.blocks:
        attention = block.attn
        qkv = attention.qkv(block.norm1(states)).view(n * count, 3, attention.num_heads, -1).unbind(1)
        query, key = apply_rotary_pos_emb_vision(qkv[0], qkv[1], cos.repeat(n, 1), sin.repeat(n, 1))
        heads = [
            part.view(n, count, attention.num_heads, -1).transpose(1, 2) for part in (query, key, qkv[2])
        ]
        mixed = (
            functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
            .transpose(1, 2)
            .reshape(n, count, -1)
        )
        states = states + attention.proj(mixed)
        states = states + block.mlp(block.norm2(states))
    flat = states.view(n * count, -1)
    return flat, tower.merger(flat)


def train_vision(
    tower: Qwen3VLVisionModel,
    pixels: np.ndarray,
    scenes: list[Scene],
    *,
    out: Path,
    steps: int,
    batch: int = 64,
    peak: float = 1e-3,
    seed: int = 0,
) -> None:
    """Train the tower in place; every 50 steps save a checkpoint in `out` and log metrics to `out/vision.jsonl`."""
    patch_heads, token_heads = (
        DenseHeads(tower.config.hidden_size),
        DenseHeads(tower.config.out_hidden_size, MERGE**2),
    )
    heads = nn.ModuleList([patch_heads, token_heads])
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=peak, betas=(0.9, 0.98), weight_decay=0.02)
    first = load_checkpoint(out, {"tower": tower, "heads": heads}, optimizer)
    log = MetricsLog(out / "vision.jsonl")
    started = time.monotonic()
    for step in range(first, steps):
        rng = np.random.default_rng((seed, step))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak=peak, warmup=100)
        chosen = np.sort(rng.choice(len(scenes), batch, replace=False))
        target = dense_labels([scenes[i] for i in chosen])
        states, tokens = patch_states(tower, torch.from_numpy(pixels[chosen]))
        loss = patch_heads(states, target) + token_heads(tokens, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            with torch.no_grad():
                metrics = token_heads.accuracy(tokens, target)
            save_checkpoint(out, {"tower": tower, "heads": heads}, optimizer)
            log.add(step, loss=loss.item(), seconds=time.monotonic() - started, **metrics)

"""Stage one of the mini chat model: teach its vision tower what lies where, patch by patch.

Yes/no questions alone teach a vision tower nothing in a reasonable time; dense labels from the scene graph do. Linear
heads on the last block's patch states, and on the merged tokens that the language model sees, name each patch's kind,
colour, size, setting and the way to its owner's centre; they are thrown away after.
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
from imagescope_agent.lab.training.architecture import GRID, MERGE, patch_centres, patches
from imagescope_agent.lab.training.checkpoint import load_state, save_state
from imagescope_agent.lab.training.schedule import Curve, rate

_CLASSES = {
    "kind": len(KINDS) + 1,
    "colour": len(COLOURS) + 1,
    "size": len(SIZES) + 1,
    "setting": len(SETTINGS),
}
_OFFSETS = 2
_WEIGHTS = {"kind": 1.0, "colour": 1.0, "size": 1.0, "setting": 0.3}


class DenseHeads(nn.Module):
    """Linear read-outs of states that each stand for one or more patches: four labels and the offset to the owner.

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

    def read(self, states: torch.Tensor) -> dict[str, torch.Tensor]:
        """Scores (patches, classes) by label, and offsets (patches, 2), in merge order."""
        states = self.norm(states)
        scores = {name: head(states).reshape(-1, _CLASSES[name]) for name, head in self.labels.items()}
        scores["offset"] = self.offset(states).reshape(-1, _OFFSETS)
        return scores

    def forward(self, states: torch.Tensor, target: dict[str, torch.Tensor]) -> torch.Tensor:
        """Weighted loss of states (n, width) for targets of all their patches."""
        scores = self.read(states)
        covered = target["kind"] > 0
        loss = 0.5 * functional.l1_loss(scores["offset"][covered], target["offset"][covered])
        for name, weight in _WEIGHTS.items():
            loss = loss + weight * functional.cross_entropy(scores[name], target[name])
        return loss

    def accuracy(self, states: torch.Tensor, target: dict[str, torch.Tensor]) -> dict[str, float]:
        """Share of covered patches labelled right, by label (setting: of all patches)."""
        scores = self.read(states)
        covered = target["kind"] > 0
        result = {}
        for name in _CLASSES:
            right = scores[name].argmax(-1) == target[name]
            result[name] = float((right if name == "setting" else right[covered]).float().mean())
        return result


def dense_labels(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """Each patch's nearest covering thing, for n scenes: (n * 64,) class ids, 0 = nothing; offsets (n * 64, 2)."""
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
            mine = (inside < 1) & (inside < nearest)
            nearest = np.where(mine, inside, nearest)
            labels["kind"][i, mine] = KINDS.index(thing.kind) + 1
            labels["colour"][i, mine] = COLOURS.index(thing.colour) + 1
            labels["size"][i, mine] = SIZES.index(thing.size) + 1
            offsets[i, mine] = delta[mine] * 4
    target = {name: torch.from_numpy(values.reshape(-1)) for name, values in labels.items()}
    target["offset"] = torch.from_numpy(offsets.reshape(-1, 2))
    return target


def patch_states(tower: Qwen3VLVisionModel, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tower's own computation for pictures of one size, all in one batch (twice as fast as its ragged path).

    Args:
        tower: the vision tower; its forward pass gives the same numbers (a test compares them).
        pixels: (n, 128, 128, 3) uint8.

    Returns:
        patch states (n * 64, width) and merged picture tokens (n * 16, text width), in merge order.
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
    """Train the tower in place; every 50 steps it saves its state in `out` and a line of `out/vision.jsonl`."""
    alone, merged = DenseHeads(tower.config.hidden_size), DenseHeads(tower.config.out_hidden_size, MERGE**2)
    heads = nn.ModuleList([alone, merged])
    learnt = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(learnt, lr=peak, betas=(0.9, 0.98), weight_decay=0.02)
    first = load_state(out, {"tower": tower, "heads": heads}, optimizer)
    curve = Curve(out / "vision.jsonl")
    started = time.monotonic()
    for step in range(first, steps):
        rng = np.random.default_rng((seed, step))
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak=peak, warmup=100)
        chosen = np.sort(rng.choice(len(scenes), batch, replace=False))
        target = dense_labels([scenes[i] for i in chosen])
        states, tokens = patch_states(tower, torch.from_numpy(pixels[chosen]))
        loss = alone(states, target) + merged(tokens, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            with torch.no_grad():
                figures = merged.accuracy(tokens, target)
            save_state(out, {"tower": tower, "heads": heads}, optimizer)
            curve.add(step, loss=loss.item(), seconds=time.monotonic() - started, **figures)

"""The training pipelines of the mini chat model and the mini open_clip model; every stage resumes.

The working folder holds the pool of rendered images, tokenizers, and the training checkpoint and curve (JSON lines) of
each stage. Finished models go to the target folder, which is the package's own `mini/` when they are to be shipped.
"""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from imagescope_agent.lab.training.data.image_pool import (
    composed_group_scenes,
    make_shard,
    open_shard,
    single_scenes,
)
from imagescope_agent.lab.training.data.mixture import DataMixture, TrainingPlan, counting_plan
from imagescope_agent.lab.training.mini_clip import (
    clip_config,
    copy_vision_tower,
    save_clip,
    train_clip,
    train_clip_tokenizer,
)
from imagescope_agent.lab.training.network.architecture import (
    chat_model,
    grow_chat_model,
    save_chat_model,
    vision_config,
)
from imagescope_agent.lab.training.network.tokenizer import JSON_TOKENS, train_tokenizer
from imagescope_agent.lab.training.trainer import Trainer, train
from imagescope_agent.lab.training.vision_pretraining import train_vision

#: Seeds of the pool's chunks; evaluation uses other seeds, so its scenes are held out.
SINGLE_SEEDS = range(1000, 1120)
GROUP_SEEDS = range(2000, 2120)
VISION_STEPS = 1800
CHAT_STEPS = 5000
PEAK_LR = 1e-3
FINE_TUNING_PEAK_LR = 4e-4
CLIP_STEPS = 700
COUNTING_STEPS, COUNTING_PEAK_LR = 800, 1.2e-4  # at 3e-4 a trained model loses more than it learns


def train_mini_mllm(  # over forty lines for its arguments
    work: Path,
    target: Path,
    *,
    steps: int | None = None,
    time_limit: float | None = None,
    start: Path | None = None,
    batch_scale: int = 1,
    peak_lr: float | None = None,
    counting: bool = False,
) -> bool:
    """Train the chat model: image pool, tokenizer, vision pretraining, then all skills together.

    Args:
        work: working folder.
        target: folder of the finished model.
        steps: of the last stage; as for the shipped model when None.
        time_limit: seconds after which the last stage saves a checkpoint and stops.
        start: a finished chat model to fine-tune, instead of the pretrained vision tower and random text layers;
            tokens that its tokenizer lacks are added.
        batch_scale: factor of the number of rows per step.
        peak_lr: of the learning rate.
        counting: whether the model of `start` is taught to count better, see `counting_plan`.

    Returns:
        Whether the last step was reached; the model is written either way.
    """
    singles = _render_pool(work)
    steps = steps or (COUNTING_STEPS if counting else CHAT_STEPS)
    if start is None:
        plan = TrainingPlan(steps=steps, peak_lr=peak_lr or PEAK_LR)
        tokenizer = _chat_tokenizer(work / "mllm")
        model = chat_model(tokenizer)
        model.model.visual.load_state_dict(load_file(_vision_tower(work, singles)))
    else:
        plan = (
            counting_plan(steps, peak_lr or COUNTING_PEAK_LR)
            if counting
            else TrainingPlan(steps=steps, peak_lr=peak_lr or FINE_TUNING_PEAK_LR, frozen_vision_steps=0)
        )
        model, tokenizer = grow_chat_model(start, JSON_TOKENS)
    plan = plan.scaled(batch_scale)
    trainer = Trainer(model, tokenizer, plan, work / "mllm")
    trainer.resume()
    train(trainer, DataMixture(work / "pool", plan, GROUP_SEEDS), time_limit=time_limit)
    save_chat_model(model.cpu(), tokenizer, target)
    return trainer.step >= steps


def train_mini_clip(work: Path, target: Path, *, steps: int = CLIP_STEPS) -> None:
    """Train the open_clip model, starting from the chat model's pretrained vision tower."""
    singles = _render_pool(work)
    folder = work / "clip"
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_clip_tokenizer().save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    torch.manual_seed(0)
    model = open_clip.CLIP(**clip_config(tokenizer.get_vocab_size()))
    tower = Qwen3VLVisionModel(vision_config())
    tower.load_state_dict(load_file(_vision_tower(work, singles)))
    copy_vision_tower(model, tower)
    pixels, scenes = open_shard(singles)
    train_clip(model, tokenizer, pixels, scenes, out=folder, steps=steps)
    save_clip(model.eval(), tokenizer, target)


def _render_pool(work: Path) -> Path:
    """The shard of single images; renders the whole pool if it is missing."""
    make_shard(work / "pool" / "singles", single_scenes, seeds=SINGLE_SEEDS)
    make_shard(work / "pool" / "families", composed_group_scenes, seeds=GROUP_SEEDS)
    return work / "pool" / "singles"


def _chat_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    path = folder / "tokenizer"
    if not (path / "tokenizer.json").exists():
        train_tokenizer().save_pretrained(path)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(path)
    return tokenizer


def _vision_tower(work: Path, singles: Path) -> Path:
    """File of the pretrained vision tower; trains it now if it is missing."""
    path = work / "vision" / "tower.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        tower = Qwen3VLVisionModel(vision_config())
        pixels, scenes = open_shard(singles)
        train_vision(tower, pixels, scenes, out=path.parent, steps=VISION_STEPS)
        save_file(tower.state_dict(), path)
    return path

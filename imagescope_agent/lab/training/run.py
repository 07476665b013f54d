"""Train the mini models from nothing, as `imagescope train` does; every stage resumes where it was stopped.

The working folder holds the drawn pool, tokenizers, the state of each stage and its curve (JSON lines). The finished
checkpoints go to the folder given as target, which is the package's own `mini/` when they are to be shipped.
"""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from imagescope_agent.atomic_write import write_atomic
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.architecture import (
    chat_model,
    grown_chat_model,
    save_chat_model,
    vision_config,
)
from imagescope_agent.lab.training.composed_groups import family_scenes
from imagescope_agent.lab.training.data_mixture import Material, Plan
from imagescope_agent.lab.training.mini_clip import (
    clip_config,
    save_clip,
    start_from_tower,
    train_clip,
    train_clip_tokenizer,
)
from imagescope_agent.lab.training.mini_mllm import Trainer, train
from imagescope_agent.lab.training.pool import make_shard, open_shard, single_scenes
from imagescope_agent.lab.training.tokenizer import SCAFFOLD, train_tokenizer
from imagescope_agent.lab.training.vision import train_vision
from imagescope_agent.plots import Point, line_plot

#: Chunks of the pool; evaluation draws its scenes from other seeds, so none of them is ever trained on.
SINGLES = range(1000, 1120)
FAMILIES = range(2000, 2120)
VISION_STEPS = 1800
CHAT_STEPS = 5000
AGAIN_PEAK = 4e-4  # of the learning rate, for weights that are trained already
FIRST_PEAK = 1e-3
CLIP_STEPS = 700


def train_mini_mllm(
    work: Path,
    target: Path,
    *,
    steps: int = CHAT_STEPS,
    until: float | None = None,
    start: Path | None = None,
    times: int = 1,
    peak: float | None = None,
) -> bool:
    """The chat model: pool, tokenizer, vision tower, then all skills together.

    Args:
        work: where everything in between is kept.
        target: folder of the finished checkpoint.
        steps: of the second stage.
        until: seconds after which the second stage stops and keeps its state.
        start: a finished checkpoint whose weights to go on from, in place of the vision tower alone; pieces that its
            tokenizer lacks are added.
        times: so many times as many rows in every step.
        peak: of the learning rate.

    Returns:
        Whether the last step was reached; the checkpoint is written either way.
    """
    plan = _plan(steps, peak, start, times)
    singles = _pool(work)
    if start is None:
        tokenizer = _chat_tokenizer(work / "mllm")
        model = chat_model(tokenizer)
        model.model.visual.load_state_dict(load_file(_tower(work, singles)))
    else:
        model, tokenizer = grown_chat_model(start, SCAFFOLD)
    trainer = Trainer(model, tokenizer, plan, work / "mllm")
    trainer.resume()
    train(trainer, Material(work / "pool", plan, FAMILIES), until=until)
    save_chat_model(model.cpu(), tokenizer, target)
    return trainer.step >= steps


def _plan(steps: int, peak: float | None, start: Path | None, times: int) -> Plan:
    plan = Plan(steps=steps, peak=peak or FIRST_PEAK)
    if start is not None:
        plan = Plan(steps=steps, peak=peak or AGAIN_PEAK, thaw=0)
    return plan.larger(times)


def train_mini_clip(work: Path, target: Path, *, steps: int = CLIP_STEPS) -> None:
    """The open_clip model, starting from the chat model's picture tower."""
    singles = _pool(work)
    folder = work / "clip"
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_clip_tokenizer().save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    torch.manual_seed(0)
    model = open_clip.CLIP(**clip_config(tokenizer.get_vocab_size()))
    tower = Qwen3VLVisionModel(vision_config())
    tower.load_state_dict(load_file(_tower(work, singles)))
    start_from_tower(model, tower)
    pixels, scenes = open_shard(singles)
    train_clip(model, tokenizer, pixels, scenes, out=folder, steps=steps)
    save_clip(model.eval(), tokenizer, target)


def _pool(work: Path) -> Path:
    make_shard(work / "pool" / "singles", single_scenes, seeds=SINGLES)
    make_shard(work / "pool" / "families", family_scenes, seeds=FAMILIES)
    return work / "pool" / "singles"


def _chat_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    path = folder / "tokenizer"
    if not (path / "tokenizer.json").exists():
        train_tokenizer().save_pretrained(path)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(path)
    return tokenizer


def _tower(work: Path, singles: Path) -> Path:
    """The trained vision tower; trained now where it is missing."""
    path = work / "vision" / "tower.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        tower = Qwen3VLVisionModel(vision_config())
        pixels, scenes = open_shard(singles)
        train_vision(tower, pixels, scenes, out=path.parent, steps=VISION_STEPS)
        save_file(tower.state_dict(), path)
    return path


def plot_curves(work: Path, picture: Path) -> None:
    """Draw every curve found in the working folder into one SVG file.

    Raises:
        BadInput: there is nothing to draw yet, or the file is to be something else than SVG.
    """
    import json

    if picture.suffix != ".svg":
        raise BadInput(f"plots are SVG: name a file such as {str(picture.with_suffix('.svg'))!r}")
    panels: dict[str, dict[str, list[Point]]] = {}
    for path in sorted(work.glob("*/*.jsonl")):
        if path.parent.name == "pool":
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        panels[f"{path.parent.name}: share of right answers while training"] = {
            name: [(line["step"], line[name]) for line in lines if line.get(name) is not None]
            for name in lines[0]
            if name not in ("step", "seconds", "norm", "loss", "grounding_loss")
        }
    if not panels:
        raise BadInput(f"no curve in {str(work)!r} yet; run `imagescope train mini-mllm --work {work}` first")
    write_atomic(picture, line_plot(panels, x_label="step", y_label="", y_range=(0, 1)))

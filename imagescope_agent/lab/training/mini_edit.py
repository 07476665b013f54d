"""The mini editor: the mini chat model fine-tuned to propose edits, on text only.

It reads captions of a reference and of candidates and writes what a user would type to get from one to the other. It
has weights of its own for the reason that the talker has: so small a model forgets what it knew of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from imagescope_agent.lab.training.architecture import grow_chat_model, save_chat_model
from imagescope_agent.lab.training.data.batch import PackedBatch
from imagescope_agent.lab.training.data.edit_turns import edit_turn
from imagescope_agent.lab.training.data.mixture import TrainingPlan
from imagescope_agent.lab.training.data.packing import Packer
from imagescope_agent.lab.training.data.turn import NO_IMAGES
from imagescope_agent.lab.training.tokenizer import EDIT_TOKENS
from imagescope_agent.lab.training.trainer import Trainer, train

STEPS = 600
PEAK_LR = 8e-4
TURNS = 24  # of a step
_ROWS_PER_BATCH = 6


class EditData:
    """The turns of every training step; no images."""

    pool = None

    def step(self, number: int, packer: Packer) -> Iterator[PackedBatch]:
        """The packed batches of a step; step `n` always has the same ones."""
        rng = Random(f"edits 0-{number}")
        turns = sorted((edit_turn(rng) for _ in range(TURNS)), key=lambda turn: len(turn.prompt))
        for start in range(0, TURNS, _ROWS_PER_BATCH):
            rows = [(NO_IMAGES, [turn]) for turn in turns[start : start + _ROWS_PER_BATCH]]
            yield packer.pack(rows, loss_scale=len(rows) / TURNS)


def train_mini_edit(
    work: Path,
    target: Path,
    *,
    start: Path,
    steps: int = STEPS,
    time_limit: float | None = None,
    peak_lr: float = PEAK_LR,
) -> bool:
    """Fine-tune a copy of a mini chat model on edits.

    Args:
        work: folder of training checkpoints and curves.
        target: folder of the finished model.
        start: a finished mini chat model; tokens that its tokenizer lacks are added.
        steps: in all.
        time_limit: seconds after which to save a checkpoint and stop.
        peak_lr: of the learning rate.

    Returns:
        Whether the last step was reached; the model is written either way.
    """
    model, tokenizer = grow_chat_model(start, EDIT_TOKENS)
    plan = TrainingPlan(
        steps=steps,
        peak_lr=peak_lr,
        frozen_vision_steps=steps,
        warmup_steps=20,
        auxiliary_heads=False,
    )
    trainer = Trainer(model, tokenizer, plan, work / "edit")
    trainer.resume()
    train(trainer, EditData(), time_limit=time_limit)
    save_chat_model(model.cpu(), tokenizer, target)
    return trainer.step >= steps

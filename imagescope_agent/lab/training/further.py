"""Teach a finished mini chat model one more skill from text alone; the result has weights of its own.

Small skills learnt late in so small a model degrade what it knew of images. The other roles keep the model that it was
made from, and steps without images have room for many turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from imagescope_agent.lab.training.data.batch import PackedBatch
from imagescope_agent.lab.training.data.mixture import TrainingPlan
from imagescope_agent.lab.training.data.packing import Packer, RowTurns
from imagescope_agent.lab.training.data.turn import NO_IMAGES, TrainingTurn
from imagescope_agent.lab.training.network.architecture import (
    grow_chat_model,
    mean_with,
    save_chat_model,
    save_text_model,
)
from imagescope_agent.lab.training.trainer import Trainer, train

_ROWS_PER_BATCH = 6


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is taught; the data of its training steps.

    Args:
        name: folder of its checkpoints and curves.
        seed: word that the turns of a step are drawn by.
        tokens: that the tokenizer must have.
        turns: of a step: how they are made, how many, and the factor of their loss.
        steps: in all.
        peak_lr: of the learning rate.
        sees: whether the finished model keeps its vision tower; without it takes no pictures.
        bfloat16: whether products are computed in 16 bits, which takes two thirds of the time where the CPU has them.
    """

    name: str
    seed: str
    tokens: Sequence[str]
    turns: tuple[tuple[Callable[[Random], TrainingTurn], int, float], ...]
    steps: int
    peak_lr: float
    sees: bool = False
    bfloat16: bool = False
    pool = None  # no images are drawn

    def step(self, number: int, packer: Packer) -> Iterator[PackedBatch]:
        """The packed batches of a step; step `n` always has the same ones."""
        rng = Random(f"{self.seed} 0-{number}")
        for make, count, loss_scale in self.turns:
            turns = sorted((make(rng) for _ in range(count)), key=lambda turn: len(turn.prompt))
            for start in range(0, count, _ROWS_PER_BATCH):  # sorted by length: a third less padding
                rows: list[RowTurns] = [
                    (NO_IMAGES, [turn]) for turn in turns[start : start + _ROWS_PER_BATCH]
                ]
                yield packer.pack(rows, loss_scale=loss_scale * len(rows) / count)


def teach(
    lesson: Lesson,
    work: Path,
    target: Path,
    *,
    start: Path,
    mean: Path | None = None,
    steps: int | None = None,
    time_limit: float | None = None,
    peak_lr: float | None = None,
) -> bool:
    """Fine-tune a copy of a mini chat model.

    Args:
        lesson: what is taught.
        work: folder of training checkpoints and curves.
        target: folder of the finished model.
        start: a finished mini chat model; tokens that its tokenizer lacks are added.
        mean: another one, where the start is the mean of both.
        steps: in all; those of the lesson when None.
        time_limit: seconds after which to save a checkpoint and stop.
        peak_lr: of the learning rate; that of the lesson when None.

    Returns:
        Whether the last step was reached; the model is written either way.
    """
    steps = steps or lesson.steps
    model, tokenizer = grow_chat_model(start, lesson.tokens)
    if mean is not None:
        mean_with(model, mean, lesson.tokens)
    plan = _plan(lesson, steps, peak_lr or lesson.peak_lr)
    trainer = Trainer(model, tokenizer, plan, work / lesson.name)
    trainer.resume()
    train(trainer, lesson, time_limit=time_limit)
    (save_chat_model if lesson.sees else save_text_model)(model.cpu(), tokenizer, target)
    return trainer.step >= steps


def _plan(lesson: Lesson, steps: int, peak_lr: float) -> TrainingPlan:
    return TrainingPlan(
        steps=steps,
        peak_lr=peak_lr,
        frozen_vision_steps=steps,
        warmup_steps=20,
        auxiliary_heads=False,
        save_every=25,
        bfloat16=lesson.bfloat16,
    )

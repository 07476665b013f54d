"""The mini talker: the mini chat model fine-tuned on conversations only.

Small skills learnt late in so small a model degrade what it knew of images. The talker has weights of its own, so that
the other roles keep their accuracy, and its training steps are text only, so that many turns fit in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from imagescope_agent.lab.training.architecture import grow_chat_model, save_chat_model
from imagescope_agent.lab.training.data.batch import PackedBatch
from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.data.mixture import TrainingPlan
from imagescope_agent.lab.training.data.packing import Packer, RowTurns
from imagescope_agent.lab.training.data.turn import NO_IMAGES, TrainingTurn
from imagescope_agent.lab.training.tokenizer import JSON_TOKENS
from imagescope_agent.lab.training.trainer import Trainer, train

STEPS = 480
PEAK_LR = 6e-4
#: The turns of a step: how they are made, how many, and the factor of their loss.
TURNS: tuple[tuple[Callable[[Random], TrainingTurn], int, float], ...] = (
    (state_update_turn, 20, 1.0),
    (question_wording_turn, 20, 0.5),
    (question_proposal_turn, 16, 1.0),
)
_ROWS_PER_BATCH = 6


class DialogueData:
    """The turns of every training step: dialogue state updates, question wordings and proposals; no images."""

    pool = None

    def step(self, number: int, packer: Packer) -> Iterator[PackedBatch]:
        """The packed batches of a step; step `n` always has the same ones."""
        rng = Random(f"talks 0-{number}")
        for make, count, loss_scale in TURNS:
            turns = sorted((make(rng) for _ in range(count)), key=lambda turn: len(turn.prompt))
            for start in range(0, count, _ROWS_PER_BATCH):  # sorted by length: a third less padding
                rows: list[RowTurns] = [
                    (NO_IMAGES, [turn]) for turn in turns[start : start + _ROWS_PER_BATCH]
                ]
                yield packer.pack(rows, loss_scale=loss_scale * len(rows) / count)


def train_mini_talk(
    work: Path,
    target: Path,
    *,
    start: Path,
    steps: int = STEPS,
    time_limit: float | None = None,
    peak_lr: float = PEAK_LR,
) -> bool:
    """Fine-tune a copy of a mini chat model on conversations.

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
    model, tokenizer = grow_chat_model(start, JSON_TOKENS)
    plan = TrainingPlan(
        steps=steps,
        peak_lr=peak_lr,
        frozen_vision_steps=steps,
        warmup_steps=20,
        auxiliary_heads=False,
    )
    trainer = Trainer(model, tokenizer, plan, work / "talk")
    trainer.resume()
    train(trainer, DialogueData(), time_limit=time_limit)
    save_chat_model(model.cpu(), tokenizer, target)
    return trainer.step >= steps

"""The mini talker: the mini chat model, taught further to hold a conversation and nothing else.

A few small skills learnt late in so small a model push out a little of what it knew of pictures. The talker has weights
of its own, so that what the other roles have learnt stays as it is, and every step is text, so that many turns fit in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from imagescope_agent.lab.training.architecture import grown_chat_model, save_chat_model
from imagescope_agent.lab.training.batch import Packed
from imagescope_agent.lab.training.data_mixture import NONE, Plan
from imagescope_agent.lab.training.examples import Branch
from imagescope_agent.lab.training.mini_mllm import Trainer, train
from imagescope_agent.lab.training.packing import Packer, Turns
from imagescope_agent.lab.training.talking import ask_branch, fold_branch, propose_branch
from imagescope_agent.lab.training.tokenizer import SCAFFOLD

STEPS = 480
PEAK = 6e-4  # of the learning rate
#: What is learnt in a step: how it is made up, how many, and their share of the loss.
ROWS: tuple[tuple[Callable[[Random], Branch], int, float], ...] = (
    (fold_branch, 20, 1.0),
    (ask_branch, 20, 0.5),
    (propose_branch, 16, 1.0),
)
ALIKE = 6  # rows in a batch


class Talks:
    """The turns of every training step: messages folded in, questions worded, questions proposed; no pictures."""

    pool = None

    def step(self, number: int, packer: Packer) -> Iterator[Packed]:
        """The packed batches of a step; step `n` always gets the same ones."""
        rng = Random(f"talks 0-{number}")
        for make, rows, share in ROWS:
            branches = sorted((make(rng) for _ in range(rows)), key=lambda each: len(each.prompt))
            for start in range(0, rows, ALIKE):  # turns of like length together: a third less padding
                turns: list[Turns] = [(NONE, [branch]) for branch in branches[start : start + ALIKE]]
                yield packer.pack(turns, share=share * len(turns) / rows)


def train_mini_talk(
    work: Path,
    target: Path,
    *,
    start: Path,
    steps: int = STEPS,
    until: float | None = None,
    peak: float = PEAK,
) -> bool:
    """Teach a copy of a chat model to talk.

    Args:
        work: where the state and the curve are kept.
        target: folder of the finished checkpoint.
        start: a finished mini chat model; pieces that its tokenizer lacks are added.
        steps: in all.
        until: seconds after which to stop and keep the state.
        peak: of the learning rate.

    Returns:
        Whether the last step was reached; the checkpoint is written either way.
    """
    model, tokenizer = grown_chat_model(start, SCAFFOLD)
    plan = Plan(steps=steps, peak=peak, thaw=steps, warmup=20, heads=False)
    trainer = Trainer(model, tokenizer, plan, work / "talk")
    trainer.resume()
    train(trainer, Talks(), until=until)
    save_chat_model(model.cpu(), tokenizer, target)
    return trainer.step >= steps

"""Train a composer on triplets, by contrast: over an embedder's frozen vectors (CLIP4Cir, arXiv 2308.11485) or tokens.

InfoNCE with a learnable temperature. The negatives of a triplet are the targets of the others in the batch, its
distractors, its reference, which is much like the target, and images of the collection drawn at random. A tenth of the
references is held out, with every triplet that leads to one of them; training stops early when recall on the held-out
ones no longer rises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.plots import line_plot
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.embedders.composer_data import held_out, vectorised
from imagescope_agent.lab.training.embedders.composer_trainer import (
    COMPOSED,
    TOKENS,
    ComposerPlan,
    ComposerTrainer,
    recall,
)
from imagescope_agent.lab.training.embedders.text_tuning import TunedText
from imagescope_agent.retrieval.embedders.combiner import Combiner
from imagescope_agent.retrieval.embedders.composer import named, untrained
from imagescope_agent.retrieval.embedders.composer_card import ComposerCard, write_card
from imagescope_agent.retrieval.embedders.network_files import TEXT, WEIGHTS, save_tensors
from imagescope_agent.retrieval.protocols import Collection, Composer, Embedder
from imagescope_agent.training_data.triplet_files import Triplet

__all__ = ["COMPOSED", "TOKENS", "ComposerPlan", "ComposerTrainer", "describe", "plan_for", "train_composer"]

LEAST = 20  # triplets, of which a tenth is held out
WORK = "training"  # folder of what is kept in between, in the composer's own


def train_composer(  # the loop that a killed training goes on with, in one view
    collection: Collection,
    embedder: Embedder,
    spec: str,
    triplets: Sequence[Triplet],
    out: Path,
    *,
    plan: ComposerPlan | None = None,
    source: Sequence[str] = (),
) -> ComposerCard:
    """Train a composer and write its folder; an embedder that composes itself reads each text with its reference.

    Several processes (`accelerate launch --cpu`) share the triplets of a step.

    Args:
        collection: what the triplets are about, indexed with the embedder.
        embedder: what reads pictures and texts, itself: one that is opened late tells vectors alone.
        spec: of the embedder, as the composer's card names it.
        triplets: at least `LEAST`.
        out: folder of the composer; a training that was killed goes on there.
        plan: hyperparameters; those of `plan_for` when None.
        source: names of the files that the triplets are from, for the card.

    Raises:
        BadInput: too few triplets, an index of other weights, or a folder with another training.
        MissingExtra: the text tower is to be tuned, and `peft` is not installed.
    """
    plan = plan or plan_for(embedder)
    collection.require_weights(embedder.weights)
    train, held = _parted(triplets)
    task = _begin(out / WORK, triplets, embedder, plan)
    torch.manual_seed(plan.seed)
    trainer, card = _trainer(collection, embedder, spec, [*train, *held], len(train), plan, out / WORK)
    trainer.run()
    trainer.keep_best()
    before = trainer.held_out if card.composed else vectorised(collection, embedder, held, tau=plan.tau)
    share = 1 - 1e-6 if card.composed else 0.5  # what the embedder itself composes, or the mean
    trained = {
        "triplets": len(train),
        "held_out": len(held),
        "images": len(collection),
        "files": list(source),
        "task": task,
        "steps": trainer.step,
        "before": _shares(recall(Combiner(card.dimension, 1, share=share), before, (1, 10))),
        "after": _shares(recall(trainer.network, trainer.held_out, (1, 10))),
        "plan": plan.told(),
    }
    card = replace(card, trained=trained)
    if not trainer.workers.rank:
        _write(trainer, card, out)
    trainer.workers.wait()
    return card


def _write(trainer: ComposerTrainer, card: ComposerCard, out: Path) -> None:
    save_tensors(trainer.network.state_dict(), out / WEIGHTS)
    if trainer.text is not None:
        save_tensors(trainer.text.low_rank(), out / TEXT)
    write_atomic(out / "curve.svg", _plot(trainer.curve))
    write_atomic(out / "README.md", describe(card))
    write_card(out, card)  # last: a folder with a card is whole


def plan_for(embedder: Embedder, *, tokens: bool = False, rank: int | None = None) -> ComposerPlan:
    """The hyperparameters that suit an embedder.

    Args:
        embedder: that is composed over; small steps suit one that composes by itself.
        tokens: whether its tokens are read.
        rank: of the changes to its text tower, which then reads texts apart.
    """
    if tokens:
        return TOKENS
    return COMPOSED if isinstance(embedder, Composer) and not rank else ComposerPlan()


def _parted(triplets: Sequence[Triplet]) -> tuple[list[Triplet], list[Triplet]]:
    """What is trained on and what is held out.

    Raises:
        BadInput: there is too little.
    """
    held = held_out(triplets)
    train, out = (
        [each for each, is_out in zip(triplets, held, strict=True) if is_out is kind]
        for kind in (False, True)
    )
    if len(triplets) < LEAST or not train or not out:
        raise BadInput(
            f"{len(triplets)} triplets of {len({each.reference for each in triplets})} references are too few to "
            f"train on and to hold some out; give at least {LEAST} of different references"
        )
    return train, out


def _trainer(
    collection: Collection,
    embedder: Embedder,
    spec: str,
    triplets: Sequence[Triplet],
    count: int,
    plan: ComposerPlan,
    work: Path,
) -> tuple[ComposerTrainer, ComposerCard]:
    """The trainer and the card so far; the first `count` triplets are trained on, the others held out."""
    composer = None if plan.reads_tokens or not isinstance(embedder, Composer) else embedder
    read = vectorised(
        collection, embedder, triplets, tokens=plan.reads_tokens, tau=plan.tau, composer=composer
    )
    text = TunedText(embedder, [each.text for each in triplets], plan.rank) if plan.rank else None
    if text is not None:
        read = replace(read, said=text)
    widths = tuple(each.states.shape[2] for each in (read.shown, read.said(read.text[:1])))
    card = ComposerCard(
        embedder=spec,
        weights=embedder.weights,
        dimension=embedder.dimension,
        hidden=plan.hidden,
        blocks=plan.blocks,
        widths=widths if plan.blocks else (),
        tuned=plan.rank > 0,
        composed=composer is not None,
        kept=plan.kept if composer is not None else 0.0,
    )
    rows = list(range(count))
    if plan.reads_tokens:
        rows.sort(key=lambda row: len(triplets[row].text))
    parts = read.take(rows), read.take(range(count, len(triplets)))
    return ComposerTrainer(*parts, untrained(card, plan.dropout), plan, work, text), card


def describe(card: ComposerCard) -> str:
    """The model card, Markdown."""
    made = card.trained
    before, after = (", ".join(f"{k} {v:.1%}" for k, v in made[name].items()) for name in ("before", "after"))
    tuned = f", `{TEXT}` (changes to the text tower)" if card.tuned else ""
    without = "the embedder's own composed vector" if card.composed else "mean of the vectors"
    return (
        f"# A composer of images and texts\n\n"
        f"Combines the vector of a reference image with that of what to change in it "
        f'(`embedder = "{named("DIR", card)}"` in a profile).'
        f"\n\n- **Embedder:** `{card.embedder}` (weights {card.weights[:12]})\n"
        f"- **Trained on:** {made['triplets']} triplets ({', '.join(made['files']) or 'given directly'}) over "
        f"{made['images']} images, {made['steps']} steps\n"
        f"- **Held-out triplets** ({made['held_out']}, over the whole collection): {after}; {without}: "
        f"{before}\n"
        f"- **Files:** `composer.safetensors`{tuned} (float16), `composer.json`, `curve.svg`; `{WORK}/` serves to go "
        "on\n"
    )


def _begin(work: Path, triplets: Sequence[Triplet], embedder: Embedder, plan: ComposerPlan) -> str:
    """Make sure that what is kept in a folder belongs to this training; returns what identifies it."""
    about = json.dumps([[asdict(each) for each in triplets], embedder.weights, plan.told()])
    task = hashlib.sha256(about.encode()).hexdigest()
    file = work / "task"
    if file.exists() and file.read_text(encoding="utf-8") != task:
        raise BadInput(
            f"{str(work)!r} holds a training on other triplets, weights or settings; choose another folder with --out, "
            "or remove that one"
        )
    work.mkdir(parents=True, exist_ok=True)
    write_atomic(file, task)
    return task


def _shares(recalls: dict[int, float]) -> dict[str, float]:
    return {f"R@{k}": round(value, 4) for k, value in recalls.items()}


def _plot(curve: Sequence[dict[str, Any]]) -> str:
    names = [name for name in curve[-1] if name.startswith("held-out")] if curve else []
    panel = {name: [(line["step"], line[name]) for line in curve] for name in names}
    return line_plot({"held-out triplets": panel}, x_label="step", y_label="", y_range=(0, 1))

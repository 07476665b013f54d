"""Train a model to reason, then embed (CIR-CoT, arXiv 2510.08003), from a chat model that sees.

An added token's last hidden state, projected and at unit length, is the vector. Stage A trains by contrast: images
with their captions, queries with their targets. Stage B adds the chain: lambda_txt * cross-entropy(chain) +
lambda_info * InfoNCE, for the vector after the chain and for the one without it; negatives are the batch's images and
each query's distractors. The paper's stage A is by contrast alone (align_txt = 0): a small model forgets how to write
meanwhile, so that by default the chain is learnt from the first step. The vision tower stays as it is.
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
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.embedders.cir_cot_calibrate import measure_held_out
from imagescope_agent.lab.training.embedders.cir_cot_data import Batches, Example, split
from imagescope_agent.lab.training.embedders.cir_cot_model import CotModel
from imagescope_agent.lab.training.embedders.cir_cot_trainer import CotPlan, CotTrainer
from imagescope_agent.lab.training.workers import Workers
from imagescope_agent.mllms.engine.checkpoint_files import hash_of
from imagescope_agent.mllms.engine.config import ModelConfig
from imagescope_agent.retrieval.embedders.cir_cot import CotCard, CotEmbedder, read_card, write_card

LEAST = 20  # examples
WORK = "training"  # folder of what is kept in between, in the model's own


def begin(work: Path, task: Any) -> str:
    """Make sure that what is kept in a folder belongs to this training; returns what identifies it.

    Raises:
        BadInput: it belongs to another.
    """
    found = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()
    file = work / "task"
    if file.exists() and file.read_text(encoding="utf-8") != found:
        raise BadInput(
            f"{str(work)!r} holds a training of another start, data or settings; choose another folder with --out, or "
            "remove that one"
        )
    work.mkdir(parents=True, exist_ok=True)
    write_atomic(file, found)
    return found


def _require_own(out: Path, start: str) -> None:
    """Make sure that no model is overwritten but the one of this training.

    Raises:
        BadInput: the folder is where the training starts from, or holds another model.
    """
    if Path(start).resolve() == out.resolve():
        raise BadInput(f"{str(out)!r} is where the training starts from; choose another folder with --out")
    if (out / "config.json").exists() and not (out / WORK / "task").exists():
        raise BadInput(f"{str(out)!r} holds a model of another training; choose another folder with --out")


def train_cir_cot(  # half of it tells arguments and result
    start: str,
    images: Path,
    examples: Sequence[Example],
    out: Path,
    *,
    plan: CotPlan | None = None,
    prompt_set: str | None = None,
    time_limit: float | None = None,
) -> tuple[CotCard, bool]:
    """Train and write the model's folder; a training that was killed goes on there.

    Args:
        start: a checkpoint in the format of transformers: a folder, or a hub id.
        images: folder of the images.
        examples: at least `LEAST`.
        out: folder of the model.
        plan: hyperparameters.
        prompt_set: whose words the model is asked in.
        time_limit: seconds after which to save a checkpoint and stop.

    Returns:
        The card, and whether the last step was reached; the model is written either way.

    Raises:
        BadInput: too few examples, none with a chain, or a folder with another training or another model.
        BackendUnavailable: the checkpoint cannot be loaded.
    """
    plan = plan or CotPlan()
    training, held_out = split(examples)
    if len(training) < LEAST:
        raise BadInput(
            f"{len(training)} examples are too few to train on; give at least {LEAST} beside those held out"
        )
    if not any(each.chain for each in training):
        raise BadInput("no example has a chain; write some with `imagescope annotate`")
    _require_own(out, start)
    torch.manual_seed(plan.seed)
    workers = Workers()
    dtype = "bfloat16" if plan.lora and plan.half else "float32"
    model = CotModel(start, plan.dimension, prompt_set, lora=plan.lora, dtype=dtype)
    about = [[asdict(each) for each in examples], model.checkpoint.weights, asdict(plan), prompt_set]
    begin(out / WORK, about)
    batches = Batches(training, plan.seed, groups=plan.groups, texts=plan.texts)
    trainer = CotTrainer(model, batches, images, plan, out / WORK, workers)
    done = trainer.run(time_limit)
    if workers.rank == 0:
        finish(trainer, held_out, out, prompt_set)
    workers.wait()
    return read_card(out), done


def finish(trainer: CotTrainer, held_out: Sequence[Example], out: Path, prompt_set: str | None) -> CotCard:
    """Write the model, with what it finds of the held-out queries; its card is written last."""
    plan, model = trainer.plan, trainer.model
    half = torch.bfloat16 if model.checkpoint.device.type == "cuda" else torch.float16
    model.save(out, half)
    card = CotCard(
        dimension=plan.dimension, prompt_set=prompt_set, weights=hash_of(ModelConfig(checkpoint=str(out)))
    )
    write_card(out, card)
    trained: dict[str, Any] = {"steps": trainer.step, "plan": asdict(plan)}
    if any(each.chain for each in held_out):
        held = measure_held_out(CotEmbedder(out), trainer.folder, held_out)
        card = replace(card, threshold=held.threshold())
        trained["held_out"] = held.figures()
    card = replace(card, trained=trained)
    write_card(out, card)
    return card


def describe(card: CotCard) -> str:
    """A line a way of embedding: recall on held-out queries."""
    held = card.trained.get("held_out")
    if not held:
        return f"{card.trained['steps']} steps; no held-out query has a chain, so none was measured"
    lines = [f"{held['queries']} held-out queries, {card.trained['steps']} steps"]
    for way in ("fast", "full", "full, true chains", "auto"):
        lines.append(f"{way}: " + ", ".join(f"{name} {value:.1%}" for name, value in held[way].items()))
    return "\n".join([*lines, f"auto writes a chain for {held['chains']:.0%}"])

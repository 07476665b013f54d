"""Train a composer on triplets: a combiner over an embedder's frozen vectors, by contrast (CLIP4Cir, arXiv 2308.11485).

InfoNCE with a learnable temperature. The negatives of a triplet are the targets of the others in the batch, its
distractors, and its reference, which is much like the target. A tenth of the references is held out, with every triplet
that leads to one of them; training stops early when recall on the held-out ones no longer rises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.plots import line_plot
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import learning_rate
from imagescope_agent.lab.training.embedders.composer_data import Vectorised, held_out, vectorised
from imagescope_agent.retrieval.embedders.combiner import Combiner, save_combiner
from imagescope_agent.retrieval.embedders.composer import ComposerCard, write_card
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.training_data.triplet_files import Triplet

LEAST = 20  # triplets, of which a tenth is held out
LARGEST_SCALE = 100.0  # of the logits, as in CLIP
WORK = "training"  # folder of what is kept in between, in the composer's own


@dataclass(frozen=True, kw_only=True)
class ComposerPlan:
    """Hyperparameters.

    Args:
        steps: at most.
        batch: triplets of a step.
        hidden: width of the combiner's hidden layer.
        dropout: share of hidden values left out.
        peak_lr: of the learning rate.
        weight_decay: of AdamW.
        distractors: of each triplet that a step draws.
        every: steps between two looks at the held-out triplets, and between checkpoints.
        patience: how many of those looks may bring nothing before training stops.
        seed: of the initial weights, the batches and the dropout.
    """

    steps: int = 1000
    batch: int = 128
    hidden: int = 256
    dropout: float = 0.5
    peak_lr: float = 2e-3
    weight_decay: float = 0.1
    distractors: int = 4
    every: int = 50
    patience: int = 6
    seed: int = 0


class _Progress(nn.Module):
    """What early stopping knows, kept in the checkpoint: the best score, and looks since then."""

    def __init__(self) -> None:
        super().__init__()
        self.best: torch.Tensor
        self.waited: torch.Tensor
        self.register_buffer("best", torch.tensor(-1.0))
        self.register_buffer("waited", torch.tensor(0.0))


class ComposerTrainer:
    """A combiner, its temperature and its optimizer; a killed training goes on and ends at the same weights."""

    def __init__(self, train: Vectorised, held_out: Vectorised, plan: ComposerPlan, work: Path) -> None:
        torch.manual_seed(plan.seed)
        self.train, self.held_out, self.plan, self.work = train, held_out, plan, work
        self.combiner = Combiner(train.images.shape[1], plan.hidden, plan.dropout)
        self.scale = nn.ParameterDict({"log": nn.Parameter(torch.tensor(3.5))})
        self.best, self.progress = deepcopy(self.combiner), _Progress()
        weights = [*self.combiner.parameters(), *self.scale.parameters()]
        self.optimizer = torch.optim.AdamW(weights, lr=plan.peak_lr, weight_decay=plan.weight_decay)
        self.step = load_checkpoint(work, self._modules, self.optimizer)
        self.curve = [each for each in _read_curve(work / "curve.jsonl") if each["step"] <= self.step]

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {
            "combiner": self.combiner,
            "scale": self.scale,
            "best": self.best,
            "progress": self.progress,
        }

    @property
    def finished(self) -> bool:
        """Whether the last step is done, or the held-out triplets have not improved for long."""
        return self.step >= self.plan.steps or float(self.progress.waited) >= self.plan.patience

    def run(self) -> None:
        """Train until `finished`; weights no better than the mean of the vectors are never kept."""
        losses: list[float] = []
        if self.progress.best < 0:
            self.progress.best.fill_(sum(recall(self.combiner, self.held_out, (1, 10)).values()))
        while not self.finished:
            losses.append(self._advance())
            if self.step % self.plan.every == 0 or self.step == self.plan.steps:
                self._look(float(np.mean(losses)))
                losses = []

    def _advance(self) -> float:
        plan = self.plan
        lr = learning_rate(self.step, plan.steps, peak=plan.peak_lr, warmup=20)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        rng = Random(f"{plan.seed}-{self.step}")
        torch.manual_seed(rng.getrandbits(32))  # of the dropout, so that a resumed training repeats it
        count = len(self.train.target)
        batch = self.train.take(rng.sample(range(count), min(plan.batch, count)))
        self.combiner.train()
        loss = info_nce(self.combiner, self.scale["log"], batch, plan.distractors, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return float(loss.item())

    def _look(self, loss: float) -> None:
        """Score the held-out triplets, keep the weights if they are the best yet, and save everything."""
        recalls = recall(self.combiner, self.held_out, (1, 10))
        score = sum(recalls.values())
        if score > float(self.progress.best):
            self.progress.best.fill_(score)
            self.progress.waited.zero_()
            self.best.load_state_dict(self.combiner.state_dict())
        else:
            self.progress.waited += 1
        line = {"step": self.step, "loss": round(loss, 4)}
        self.curve.append(line | {f"held-out R@{k}": round(value, 4) for k, value in recalls.items()})
        self.work.mkdir(parents=True, exist_ok=True)
        write_atomic(self.work / "curve.jsonl", "".join(json.dumps(each) + "\n" for each in self.curve))
        save_checkpoint(self.work, self._modules, self.optimizer)


def info_nce(
    combiner: Combiner, log_scale: torch.Tensor, batch: Vectorised, distractors: int, rng: Random
) -> torch.Tensor:
    """The mean of -log P(target) over the batch's targets, some distractors of each triplet, and the references."""
    queries = combiner(batch.images[batch.reference], batch.texts)
    shown = batch.distractors
    if shown.shape[1] > distractors:
        shown = shown[:, rng.sample(range(shown.shape[1]), distractors)]
    others = torch.cat([batch.reference, shown[shown >= 0].reshape(-1)])
    names = torch.cat([batch.target, others])
    logits = log_scale.exp().clamp(max=LARGEST_SCALE) * queries @ batch.images[names].T
    own = torch.arange(len(batch.target))
    same = names[None, :] == batch.target[:, None]  # the target again, of another triplet: no negative
    same[own, own] = False
    return functional.cross_entropy(logits.masked_fill(same, float("-inf")), own)


def recall(combiner: Combiner, triplets: Vectorised, at: Sequence[int]) -> dict[int, float]:
    """R@k over the whole collection without the reference: the share of triplets with the target among the first k."""
    if not len(triplets.target):
        return dict.fromkeys(at, 0.0)
    combiner.eval()
    with torch.no_grad():
        scores = combiner(triplets.images[triplets.reference], triplets.texts) @ triplets.images.T
    rows = torch.arange(len(scores))
    scores[rows, triplets.reference] = float("-inf")
    ranks = (scores > scores[rows, triplets.target][:, None]).sum(1)
    return {k: float((ranks < k).float().mean()) for k in at}


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
    """Train a composer and write its folder.

    Args:
        collection: what the triplets are about, indexed with the embedder.
        embedder: whose vectors are combined.
        spec: of the embedder, as the composer's card names it.
        triplets: at least `LEAST`.
        out: folder of the composer; a training that was killed goes on there.
        plan: hyperparameters.
        source: names of the files that the triplets are from, for the card.

    Raises:
        BadInput: too few triplets, an index of other weights, or a folder with another training.
    """
    plan = plan or ComposerPlan()
    collection.require_weights(embedder.weights)
    held = held_out(triplets)
    rows = [[row for row, out_ in enumerate(held) if out_ is kind] for kind in (False, True)]
    if len(triplets) < LEAST or not all(rows):
        raise BadInput(
            f"{len(triplets)} triplets of {len({each.reference for each in triplets})} references are too few to "
            f"train on and to hold some out; give at least {LEAST} of different references"
        )
    task = _begin(out / WORK, triplets, embedder, plan)
    vectors = vectorised(collection, embedder, triplets)
    trainer = ComposerTrainer(vectors.take(rows[0]), vectors.take(rows[1]), plan, out / WORK)
    trainer.run()
    dimension = trainer.combiner.dimension
    trained = {
        "triplets": len(rows[0]),
        "held_out": len(rows[1]),
        "images": len(collection),
        "files": list(source),
        "task": task,
        "steps": trainer.step,
        "before": _shares(recall(Combiner(dimension, 1), trainer.held_out, (1, 10))),
        "after": _shares(recall(trainer.best, trainer.held_out, (1, 10))),
        "plan": asdict(plan),
    }
    card = ComposerCard(
        embedder=spec, weights=embedder.weights, dimension=dimension, hidden=plan.hidden, trained=trained
    )
    save_combiner(trainer.best, out)
    write_atomic(out / "curve.svg", _plot(trainer.curve))
    write_atomic(out / "README.md", describe(card))
    write_card(out, card)  # last: a folder with a card is whole
    return card


def describe(card: ComposerCard) -> str:
    """The model card, Markdown."""
    made = card.trained
    before, after = (", ".join(f"{k} {v:.1%}" for k, v in made[name].items()) for name in ("before", "after"))
    return (
        f"# A composer of images and texts\n\n"
        f'Combines the vector of a reference image with that of what to change in it (`embedder = "composer:DIR"` in a '
        f"profile).\n\n- **Embedder:** `{card.embedder}` (weights {card.weights[:12]})\n"
        f"- **Trained on:** {made['triplets']} triplets ({', '.join(made['files']) or 'given directly'}) over "
        f"{made['images']} images, {made['steps']} steps\n"
        f"- **Held-out triplets** ({made['held_out']}, over the whole collection): {after}; mean of the vectors: "
        f"{before}\n"
        f"- **Files:** `composer.safetensors` (float16), `composer.json`, `curve.svg`; `{WORK}/` serves to go on\n"
    )


def _begin(work: Path, triplets: Sequence[Triplet], embedder: Embedder, plan: ComposerPlan) -> str:
    """Make sure that what is kept in a folder belongs to this training; returns what identifies it."""
    about = json.dumps([[asdict(each) for each in triplets], embedder.weights, asdict(plan)])
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


def _read_curve(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _shares(recalls: dict[int, float]) -> dict[str, float]:
    return {f"R@{k}": round(value, 4) for k, value in recalls.items()}


def _plot(curve: Sequence[dict[str, Any]]) -> str:
    names = [name for name in curve[-1] if name.startswith("held-out")] if curve else []
    panel = {name: [(line["step"], line[name]) for line in curve] for name in names}
    return line_plot({"held-out triplets": panel}, x_label="step", y_label="", y_range=(0, 1))

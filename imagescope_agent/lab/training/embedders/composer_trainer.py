"""The loop that trains a composer's network: InfoNCE, early stop, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import learning_rate
from imagescope_agent.lab.training.embedders.composer_data import Vectorised
from imagescope_agent.lab.training.embedders.text_tuning import TunedText
from imagescope_agent.lab.training.workers import Workers

LARGEST_SCALE = 100.0  # of the logits, as in CLIP
SCORED_SCALE = 20.0  # of the logits that score held-out triplets
WINDOW = 4  # batches, among whose texts of much the same length a batch is drawn


@dataclass(frozen=True, kw_only=True)
class ComposerPlan:
    """Hyperparameters.

    Args:
        steps: at most.
        batch: triplets of a step.
        hidden: width of the network's hidden layers.
        dropout: share of hidden values left out.
        peak_lr: of the learning rate.
        weight_decay: of AdamW.
        distractors: of each triplet that a step draws.
        gallery: further images of the collection, drawn at random, that a step's queries must not find; the more, the
            nearer a step is to what is searched later.
        every: steps between two looks at the held-out triplets, and between checkpoints.
        patience: how many of those looks may bring nothing before training stops.
        seed: of the initial weights, the batches and the dropout.
        blocks: of a transformer over the tokens of pictures and texts; 0 combines their vectors.
        rank: of the changes to the text tower (LoRA); 0 leaves it as it is.
        tau: weight of the captions in what the composed vectors must find; 0 looks at the images alone.
        kept: share of the embedder's own composed vector in what the trained network gives, as in WiSE-FT (arXiv
            2109.01903); training itself does without.
    """

    steps: int = 1000
    batch: int = 128
    hidden: int = 256
    dropout: float = 0.5
    peak_lr: float = 2e-3
    weight_decay: float = 0.1
    distractors: int = 4
    gallery: int = 1000
    every: int = 50
    patience: int = 6
    seed: int = 0
    blocks: int = 0
    rank: int = 0
    tau: float = 0.0
    kept: float = 0.0

    @property
    def reads_tokens(self) -> bool:
        """Whether pictures and texts are read token by token, or texts by a tower that is tuned."""
        return bool(self.blocks or self.rank)

    def told(self) -> dict[str, Any]:
        """What identifies it, without what is left out."""
        left_out = {name for name in ("gallery", "blocks", "rank", "tau", "kept") if not getattr(self, name)}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


#: A plan over an embedder that composes: most of what it composes stays, so that what few triplets do not show is kept.
COMPOSED = ComposerPlan(steps=400, hidden=64, distractors=16, peak_lr=1e-3, kept=0.7)
#: A plan that reads tokens.
TOKENS = ComposerPlan(
    steps=2000, batch=96, hidden=192, dropout=0.1, peak_lr=1e-3, every=100, blocks=2, tau=0.5
)


class _Progress(nn.Module):
    """What early stopping knows, kept in the checkpoint: the best score, and looks since then."""

    def __init__(self) -> None:
        super().__init__()
        self.best: torch.Tensor
        self.waited: torch.Tensor
        self.register_buffer("best", torch.tensor(-1.0))
        self.register_buffer("waited", torch.tensor(0.0))


class ComposerTrainer:
    """A network, its temperature and its optimizer; a killed training goes on and ends at the same weights.

    Args:
        train: triplets; in order of the length of their texts where tokens are read.
        held_out: triplets that stop the training.
        network: before training.
        plan: hyperparameters.
        work: folder of checkpoints and the curve.
        text: the text tower that is tuned too, which reads the texts of `train` and `held_out`.
        workers: that share the triplets of a step; the first of them writes.
    """

    def __init__(
        self,
        train: Vectorised,
        held_out: Vectorised,
        network: nn.Module,
        plan: ComposerPlan,
        work: Path,
        text: TunedText | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.workers = workers or Workers(cpu=True)
        self.train, self.held_out, self.plan, self.work = train, held_out, plan, work
        self.network, self.text = network, text
        self.learnt = {"combiner": network, **({"text": text.changes} if text else {})}
        self.scale = nn.ParameterDict({"log": nn.Parameter(torch.tensor(3.5))})
        self.best = {name: deepcopy(module) for name, module in self.learnt.items()}
        self.progress = _Progress()
        self.weights = [
            *network.parameters(),
            *self.scale.parameters(),
            *(text.changes.values() if text else ()),
        ]
        self.optimizer = torch.optim.AdamW(self.weights, lr=plan.peak_lr, weight_decay=plan.weight_decay)
        self.step = load_checkpoint(work, self._modules, self.optimizer)
        self.curve = [each for each in _read_curve(work / "curve.jsonl") if each["step"] <= self.step]

    @property
    def _modules(self) -> dict[str, nn.Module]:
        best = {{"combiner": "best"}.get(name, f"best_{name}"): module for name, module in self.best.items()}
        return {**self.learnt, "scale": self.scale, **best, "progress": self.progress}

    @property
    def finished(self) -> bool:
        """Whether the last step is done, or the held-out triplets have not improved for long."""
        return self.step >= self.plan.steps or float(self.progress.waited) >= self.plan.patience

    def keep_best(self) -> None:
        """Go back to the best weights."""
        for name, module in self.learnt.items():
            module.load_state_dict(self.best[name].state_dict())

    def run(self) -> None:
        """Train until `finished`; weights no better than the mean of the vectors are never kept."""
        losses: list[float] = []
        if self.progress.best < 0:
            self.progress.best.fill_(self._score(recall(self.network, self.held_out, (1, 10))))
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
        batch = self.train.take(self._rows(rng))
        self.network.train()
        loss = info_nce(
            self.network, self.scale["log"], batch, plan.distractors, plan.gallery, rng, self.workers
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.workers.share(self.weights)
        if plan.reads_tokens:
            nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.step += 1
        return float(loss.item())

    def _rows(self, rng: Random) -> list[int]:
        """The triplets of a step; where tokens are read, with texts of much the same length, which saves padding."""
        count = len(self.train.target)
        window = min(count, WINDOW * self.plan.batch if self.plan.reads_tokens else count)
        first = 0 if window == count else rng.randrange(-window // 2, count - window // 2)
        first = min(max(0, first), count - window)
        return rng.sample(range(first, first + window), min(self.plan.batch, count))

    def _score(self, recalls: Mapping[int, float]) -> float:
        """How good the network is on the held-out triplets: above 0, the more the better.

        What is near the embedder's own vectors changes few ranks of few triplets; there their probability says more.
        """
        return probability(self.network, self.held_out) if self.plan.kept else sum(recalls.values())

    def _look(self, loss: float) -> None:
        """Score the held-out triplets, keep the weights if they are the best yet, and save everything."""
        recalls = recall(self.network, self.held_out, (1, 10))
        score = self._score(recalls)
        if score > float(self.progress.best):
            self.progress.best.fill_(score)
            self.progress.waited.zero_()
            for name, module in self.learnt.items():
                self.best[name].load_state_dict(module.state_dict())
        else:
            self.progress.waited += 1
        line = {"step": self.step, "loss": round(loss, 4)}
        self.curve.append(line | {f"held-out R@{k}": round(value, 4) for k, value in recalls.items()})
        if self.workers.rank:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        write_atomic(self.work / "curve.jsonl", "".join(json.dumps(each) + "\n" for each in self.curve))
        save_checkpoint(self.work, self._modules, self.optimizer)


def info_nce(
    network: nn.Module,
    log_scale: torch.Tensor,
    batch: Vectorised,
    distractors: int,
    gallery: int,
    rng: Random,
    workers: Workers | None = None,
) -> torch.Tensor:
    """The mean of -log P(target) over the batch's targets, some distractors of each, the references, and the gallery.

    Of several workers each has its part of the triplets; the sum of all is the mean over the batch.

    Args:
        network: composes.
        log_scale: logarithm of the inverse temperature.
        batch: m triplets.
        distractors: of each triplet that are drawn.
        gallery: images of the whole collection that are drawn.
        rng: of the draws, the same of all workers.
        workers: that share the triplets; one when None.
    """
    rank, count = (workers.rank, workers.count) if workers else (0, 1)
    mine = list(range(len(batch.target)))[rank::count]
    queries = batch.take(mine).composed(network)
    shown = batch.distractors
    if shown.shape[1] > distractors:
        shown = shown[:, rng.sample(range(shown.shape[1]), distractors)]
    drawn = rng.sample(range(len(batch.images)), min(gallery, len(batch.images)))
    others = torch.cat(
        [batch.reference, shown[shown >= 0].reshape(-1), torch.tensor(drawn, dtype=torch.long)]
    )
    names = torch.cat([batch.target, others])
    logits = log_scale.exp().clamp(max=LARGEST_SCALE) * queries @ batch.images[names].T
    own = torch.tensor(mine, dtype=torch.long)
    same = names[None, :] == batch.target[own][:, None]  # the target again, of another triplet: no negative
    same[torch.arange(len(own)), own] = False
    total = functional.cross_entropy(logits.masked_fill(same, float("-inf")), own, reduction="sum")
    return total / len(batch.target)


def recall(network: nn.Module, triplets: Vectorised, at: Sequence[int]) -> dict[int, float]:
    """R@k over the whole collection without the reference: the share of triplets with the target among the first k."""
    if not len(triplets.target):
        return dict.fromkeys(at, 0.0)
    network.eval()
    with torch.no_grad():
        scores = triplets.composed(network) @ triplets.images.T
    rows = torch.arange(len(scores))
    scores[rows, triplets.reference] = float("-inf")
    ranks = (scores > scores[rows, triplets.target][:, None]).sum(1)
    return {k: float((ranks < k).float().mean()) for k in at}


def probability(network: nn.Module, triplets: Vectorised) -> float:
    """The geometric mean of P(target) over the whole collection without the references; 0 without triplets."""
    if not len(triplets.target):
        return 0.0
    network.eval()
    with torch.no_grad():
        scores = SCORED_SCALE * triplets.composed(network) @ triplets.images.T
    rows = torch.arange(len(scores))
    scores[rows, triplets.reference] = float("-inf")
    return float(scores.log_softmax(dim=1)[rows, triplets.target].mean().exp())


def _read_curve(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

"""The head of the photo embedder: two linear maps from frozen features into one space, trained with InfoNCE.

Beside the captioned pictures it is shown the backbone's own classes: the classifier's weight of a class is a picture
feature of it, and its name a caption. That keeps what the backbone knows of things that no caption names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.photos.features import Features
from imagescope_agent.lab.training.photos.merged import Maps

SAVE_EVERY = 100  # steps
LOG_EVERY = 100
SMALLEST = 1e-3  # deviation of a dimension


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """How a head is trained.

    Args:
        embed_dim: size of a head's space.
        steps: optimizer steps of a head.
        batch: pictures a step, each with one of its captions.
        classes: classes of the backbone's classifier a step.
        peak_lr: of the learning rate.
        weight_decay: of both maps.
        dropout: share of picture and text features left out.
        heads: that differ by their seed and are merged into one (merged.py).
        seed: of everything that is drawn.
    """

    embed_dim: int = 512
    steps: int = 400
    batch: int = 512
    classes: int = 128
    peak_lr: float = 1e-3
    weight_decay: float = 0.1
    dropout: float = 0.3
    heads: int = 10
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pictures with captions as features.

    Args:
        pictures: (n, picture width).
        texts: (m, text width).
        owners: (m,) row of each caption's picture.
    """

    pictures: Features
    texts: Features
    owners: Sequence[int]


class Head(nn.Module):
    """Both maps and the temperature; features are standardised, which `maps` folds into the maps.

    Args:
        pictures: (n, width) features that say mean and deviation of each dimension.
        texts: the same of captions; they are scaled only, since open_clip's map of texts has no bias.
        plan: size and dropout.
    """

    def __init__(self, pictures: torch.Tensor, texts: torch.Tensor, plan: HeadPlan) -> None:
        super().__init__()
        self.visual = nn.Linear(pictures.shape[1], plan.embed_dim, bias=False)
        self.text = nn.Linear(texts.shape[1], plan.embed_dim, bias=False)
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.dropout = nn.Dropout(plan.dropout)
        self.middle, self.spread = pictures.mean(0), pictures.std(0) + SMALLEST
        self.text_spread = texts.std(0) + SMALLEST

    def pictures(self, features: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, d), unit length."""
        return functional.normalize(self.visual(self.dropout((features - self.middle) / self.spread)), dim=1)

    def texts(self, features: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, d), unit length."""
        return functional.normalize(self.text(self.dropout(features / self.text_spread)), dim=1)

    def maps(self) -> Maps:
        """The maps of plain features."""
        with torch.no_grad():
            visual = self.visual.weight / self.spread
            return Maps(visual=visual, bias=-(visual @ self.middle), text=self.text.weight / self.text_spread)


class HeadTrainer:
    """Trains a head; what is drawn in a step depends on the seed and its number alone, so a resumed run is the same.

    Args:
        pairs: to learn from.
        classes: (classes, picture width) weights of the classifier and (classes, text width) names, None for none.
        plan: how.
        work: folder of the checkpoint and the curve.
    """

    def __init__(
        self, pairs: Pairs, classes: tuple[Features, Features] | None, plan: HeadPlan, work: Path
    ) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.work = plan, work
        self.pictures, self.texts = torch.from_numpy(pairs.pictures), torch.from_numpy(pairs.texts)
        self.captions = _by_owner(pairs)
        self.classes = None
        if classes is not None:
            weights, names = map(torch.from_numpy, classes)
            self.classes = _as_pictures(weights, self.pictures), names
        self.head = Head(self.pictures, self.texts, plan)
        decayed = [self.head.visual.weight, self.head.text.weight]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": plan.weight_decay},
                {"params": [self.head.scale], "weight_decay": 0.0},
            ]
        )
        self.step = load_checkpoint(work, {"head": self.head}, self.optimizer)
        self.log = MetricsLog(work / "curve.jsonl")

    def train(self, dev: Pairs | None = None) -> Head:
        """Take the steps that are left; the head is returned in evaluation mode."""
        while self.step < self.plan.steps:
            loss = self._take_step()
            self.step += 1
            if self.step % LOG_EVERY == 0 or self.step == self.plan.steps:
                self.log.add(self.step, loss=loss, **(recall(self.head, dev) if dev else {}))
            if self.step % SAVE_EVERY == 0 or self.step == self.plan.steps:
                save_checkpoint(self.work, {"head": self.head}, self.optimizer)
        return self.head.eval()

    def _take_step(self) -> float:
        plan, drawn = self.plan, np.random.default_rng([self.plan.seed, self.step])
        torch.manual_seed(int(drawn.integers(2**31)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, plan.steps, peak=plan.peak_lr, warmup=plan.steps // 20)
        rows = drawn.choice(len(self.captions), min(plan.batch, len(self.captions)), replace=False)
        texts = [drawn.choice(self.captions[row]) for row in rows]
        pictures, captions = self.pictures[rows], self.texts[texts]
        if self.classes is not None and plan.classes:
            of = drawn.choice(len(self.classes[0]), min(plan.classes, len(self.classes[0])), replace=False)
            pictures = torch.cat([pictures, self.classes[0][of]])
            captions = torch.cat([captions, self.classes[1][of]])
        self.head.train()
        alike = self.head.pictures(pictures) @ self.head.texts(captions).T * self.head.scale.exp()
        right = torch.arange(len(alike))
        loss = (functional.cross_entropy(alike, right) + functional.cross_entropy(alike.T, right)) / 2
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.head.scale.clamp_(max=4.6)  # 100, as CLIP's
        return float(loss.detach())


def recall(head: Head, pairs: Pairs) -> dict[str, float]:
    """R@1, R@5 and R@10 of the captions, every picture of the pairs being in the gallery."""
    head.eval()
    with torch.inference_mode():
        pictures = head.pictures(torch.from_numpy(pairs.pictures))
        alike = head.texts(torch.from_numpy(pairs.texts)) @ pictures.T
    right = alike.gather(1, torch.tensor(pairs.owners).unsqueeze(1))
    ranks = (alike > right).sum(1)
    return {f"R@{k}": float((ranks < k).float().mean()) for k in (1, 5, 10)}


def _as_pictures(weights: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Classifier weights as features: off the mean picture in their direction, as far as pictures are."""
    middle = pictures.mean(0)
    off = functional.normalize(weights - weights.mean(0), dim=1)
    found: torch.Tensor = middle + off * (pictures - middle).norm(dim=1).mean()
    return found


def _by_owner(pairs: Pairs) -> list[list[int]]:
    """The captions of each picture that has any."""
    captions: dict[int, list[int]] = {}
    for caption, owner in enumerate(pairs.owners):
        captions.setdefault(owner, []).append(caption)
    return [captions[row] for row in range(len(pairs.pictures))]

"""Steps of the training of a model that reasons, then embeds: its plan, its losses, its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.embedders.cir_cot_cached import cached_backward
from imagescope_agent.lab.training.embedders.cir_cot_data import Batches, Example, rivals, shown
from imagescope_agent.lab.training.embedders.cir_cot_model import CotModel, info_nce
from imagescope_agent.lab.training.workers import Workers
from imagescope_agent.mllms.engine.embed_token import EmbedRow
from imagescope_agent.retrieval.images import inside, load


@dataclass(frozen=True, kw_only=True)
class CotPlan:
    """Hyperparameters.

    Args:
        align_steps: of stage A.
        align_txt: weight of the chain's cross-entropy in stage A; 0 for the paper's.
        steps: of both stages.
        groups: references of a step, with up to three queries each.
        texts: queries of words alone of a step.
        distractors: of each query that a step embeds.
        dimension: of the vectors.
        peak_lr: of the learning rate of the language model's weights.
        head_lr_scale: factor of it for the projection, which begins at random.
        lambda_txt, lambda_info: weights of the losses of stage B.
        save_every: steps between checkpoints.
        half: whether products are computed in bfloat16.
        lora: rank of adapters (LoRA) that are trained in place of the weights; 0 trains the weights themselves.
        part: rows that pass at once (gradient caching), so that a large batch fits a small memory; 0 for all.
        seed: of the projection and the batches.
    """

    align_steps: int = 100
    align_txt: float = 1.0
    steps: int = 400
    groups: int = 8
    texts: int = 12
    distractors: int = 2
    dimension: int = 192
    peak_lr: float = 5e-4
    head_lr_scale: float = 2.0
    lambda_txt: float = 1.0
    lambda_info: float = 1.0
    save_every: int = 20
    half: bool = True
    lora: int = 0
    part: int = 0
    seed: int = 0


class CotTrainer:
    """A model and its optimizer; a killed training goes on and ends at the same weights."""

    def __init__(
        self,
        model: CotModel,
        batches: Batches,
        folder: Path,
        plan: CotPlan,
        work: Path,
        workers: Workers | None = None,
    ) -> None:
        self.model, self.batches, self.folder, self.plan, self.work = model, batches, folder, plan, work
        self.workers = workers or Workers()
        trained = [weight for weight in model.language.parameters() if weight.requires_grad]
        groups = [
            {"params": trained, "lr_scale": 1.0},
            {"params": [model.projection.weight, model.log_scale], "lr_scale": plan.head_lr_scale},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.peak_lr, betas=(0.9, 0.98), weight_decay=0.02)
        self.step = load_checkpoint(work, self._modules, self.optimizer)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds: of a model with adapters what is trained alone."""
        if not self.plan.lora:
            return {"model": self.model}
        trained = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        return {"trained": nn.ParameterDict({name.replace(".", "/"): each for name, each in trained.items()})}

    def run(self, time_limit: float | None = None) -> bool:
        """Train to the last step, or for so many seconds; whether the last step was reached."""
        log, started = MetricsLog(self.work / "cir_cot.jsonl"), time.monotonic()
        while self.step < self.plan.steps:
            metrics = self.advance()
            late = time_limit is not None and time.monotonic() - started > time_limit
            if self.workers.count > 1:  # all stop with the first
                late = bool(self.workers.sum(torch.tensor(float(late), device=self._device)) > 0)
            if self.step % self.plan.save_every == 0 or self.step == self.plan.steps or late:
                self._save()
            if self.step % 5 == 0 and self.workers.rank == 0:
                log.add(self.step, seconds=time.monotonic() - started, **metrics)
            if late:
                break
        return self.step >= self.plan.steps

    @property
    def _device(self) -> torch.device:
        return self.model.checkpoint.device

    def _save(self) -> None:
        if self.workers.rank == 0:
            save_checkpoint(self.work, self._modules, self.optimizer)
        self.workers.wait()

    def advance(self) -> dict[str, float]:
        """One step."""
        plan = self.plan
        lr = learning_rate(self.step, plan.steps, peak=plan.peak_lr, warmup=20)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_scale"] * lr
        aligning = self.step < plan.align_steps
        examples = self.batches.step(self.step, chains=not aligning)
        self.optimizer.zero_grad(set_to_none=True)
        metrics = self._backward(examples, aligning=aligning)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return {name: float(value) for name, value in metrics.items()}

    def _backward(self, examples: Sequence[Example], *, aligning: bool) -> dict[str, torch.Tensor]:
        """Leave the gradients of a step in the weights; returns its metrics."""
        plan, (names, rows, told) = self.plan, self._rows(examples, aligning=aligning)
        flat, sizes = [row for group in rows.values() for row in group], [len(each) for each in rows.values()]

        def loss(vectors: torch.Tensor, chain: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            return self._sum(dict(zip(rows, vectors.split(sizes), strict=True)), names, examples, chain, told)

        if plan.part or self.workers.count > 1:
            part = plan.part or -(-len(flat) // self.workers.count)
            return cached_backward(self.model, flat, loss, part=part, workers=self.workers, half=plan.half)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=plan.half):
            vectors, chain = self.model(flat)
        total, metrics = loss(vectors, chain.mean() if len(chain) else vectors.new_zeros(()))
        total.backward()
        return metrics

    def _rows(
        self, examples: Sequence[Example], *, aligning: bool
    ) -> tuple[list[str], dict[str, list[EmbedRow]], list[tuple[str, str]]]:
        """The images of a step, what passes the model, and the images that are described with their words."""
        model, plan = self.model, self.plan
        names = list(dict.fromkeys(name for each in examples for name in shown(each, plan.distractors)))
        pictures = {name: self._picture(name) for name in names}
        rows = {"gallery": [EmbedRow(image=each) for each in pictures.values()]}
        for way in ("fast", "full"):
            rows[way] = [
                model.row(pictures[each.reference] if each.reference else None, each.text, chain)
                for each in examples
                if (chain := each.chain if way == "full" else None) or way == "fast"
            ]
        told = captions(examples) if aligning else []
        rows["caption"] = [model.row(None, words) for _, words in told]
        if aligning and not plan.align_txt:
            rows["full"] = []
        return names, rows, told

    def _sum(
        self,
        parts: Mapping[str, torch.Tensor],
        names: Sequence[str],
        examples: Sequence[Example],
        chain: torch.Tensor,
        told: Sequence[tuple[str, str]],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The total of a step, and its metrics."""
        plan, gallery = self.plan, parts["gallery"]
        row = {name: number for number, name in enumerate(names)}
        losses, metrics = {}, {}
        targets = torch.tensor([row[each.target] for each in examples], device=gallery.device)
        negatives = torch.tensor(rivals(examples, names, most=plan.distractors), device=gallery.device)
        thought = torch.tensor([each.chain is not None for each in examples], device=gallery.device)
        for way, asked in (("fast", torch.ones_like(thought)), ("full", thought)):
            if len(parts[way]):
                target, usable = targets[asked], negatives[asked]
                metrics[f"{way}_r1"] = _first(parts[way], gallery, target, usable)
                losses[way] = info_nce(self.model.scale, parts[way], gallery, target, usable)
        if told:
            whose = torch.tensor([row[name] for name, _ in told], device=gallery.device)
            every = torch.ones(len(told), len(names), dtype=torch.bool, device=gallery.device)
            losses["caption"] = info_nce(self.model.scale, parts["caption"], gallery, whose, every)
            metrics["caption_r1"] = _first(parts["caption"], gallery, whose, every)
        total = plan.lambda_info * torch.stack(list(losses.values())).sum()
        if len(parts["full"]):
            total = total + (plan.align_txt if told else plan.lambda_txt) * chain
            metrics["chain"] = chain.detach()
        return total, {"loss": total.detach(), **metrics}

    def _picture(self, name: str) -> Image.Image:
        return load(inside(self.folder, name)).image


def captions(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Images of a step with words that describe them: references with the chain's caption, targets with its end."""
    told = dict[tuple[str, str], None]()
    for each in examples:
        if each.chain and each.reference:
            told[each.reference, each.chain.caption] = None
            told[each.target, each.chain.conclusion] = None
    return list(told)


def _first(
    queries: torch.Tensor, gallery: torch.Tensor, target: torch.Tensor, usable: torch.Tensor
) -> torch.Tensor:
    """The share of queries whose target is the nearest of the batch's images."""
    with torch.no_grad():
        scores = (queries @ gallery.T).masked_fill(~usable, float("-inf"))
        return (scores.argmax(-1) == target).float().mean()

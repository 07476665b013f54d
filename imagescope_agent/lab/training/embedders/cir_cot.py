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
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.embedders.cir_cot_calibrate import measure_held_out
from imagescope_agent.lab.training.embedders.cir_cot_data import Batches, Example, rivals, shown, split
from imagescope_agent.lab.training.embedders.cir_cot_model import CotModel, info_nce
from imagescope_agent.mllms.engine.checkpoint_files import hash_of
from imagescope_agent.mllms.engine.config import ModelConfig
from imagescope_agent.mllms.engine.embed_token import EmbedRow
from imagescope_agent.retrieval.embedders.cir_cot import CotCard, CotEmbedder, write_card
from imagescope_agent.retrieval.images import inside, load

LEAST = 20  # examples
WORK = "training"  # folder of what is kept in between, in the model's own


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
    head_lr_scale: float = 4.0
    lambda_txt: float = 1.0
    lambda_info: float = 1.0
    save_every: int = 20
    half: bool = True
    seed: int = 0


class CotTrainer:
    """A model and its optimizer; a killed training goes on and ends at the same weights."""

    def __init__(self, model: CotModel, batches: Batches, folder: Path, plan: CotPlan, work: Path) -> None:
        self.model, self.batches, self.folder, self.plan, self.work = model, batches, folder, plan, work
        trained = [weight for weight in model.language.parameters() if weight.requires_grad]
        groups = [
            {"params": trained, "lr_scale": 1.0},
            {"params": [model.projection.weight, model.log_scale], "lr_scale": plan.head_lr_scale},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.peak_lr, betas=(0.9, 0.98), weight_decay=0.02)
        self.step = load_checkpoint(work, self._modules, self.optimizer)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model}

    def run(self, time_limit: float | None = None) -> bool:
        """Train to the last step, or for so many seconds; whether the last step was reached."""
        log, started = MetricsLog(self.work / "cir_cot.jsonl"), time.monotonic()
        while self.step < self.plan.steps:
            metrics = self.advance()
            late = time_limit is not None and time.monotonic() - started > time_limit
            if self.step % self.plan.save_every == 0 or self.step == self.plan.steps or late:
                save_checkpoint(self.work, self._modules, self.optimizer)
            if self.step % 5 == 0:
                log.add(self.step, seconds=time.monotonic() - started, **metrics)
            if late:
                break
        return self.step >= self.plan.steps

    def advance(self) -> dict[str, float]:
        """One step."""
        plan = self.plan
        lr = learning_rate(self.step, plan.steps, peak=plan.peak_lr, warmup=20)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_scale"] * lr
        aligning = self.step < plan.align_steps
        examples = self.batches.step(self.step, chains=not aligning)
        device = self.model.checkpoint.device.type
        with torch.autocast(device, torch.bfloat16, enabled=plan.half):
            loss, metrics = self._loss(examples, aligning=aligning)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return {name: float(value) for name, value in metrics.items()}

    def _loss(
        self, examples: Sequence[Example], *, aligning: bool
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
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
        vectors, chain_loss = model([row for group in rows.values() for row in group])
        parts = dict(zip(rows, vectors.split([len(group) for group in rows.values()]), strict=True))
        return self._sum(parts, names, examples, chain_loss, told)

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
    model = CotModel(start, plan.dimension, prompt_set)
    about = [[asdict(each) for each in examples], model.checkpoint.weights, asdict(plan), prompt_set]
    begin(out / WORK, about)
    batches = Batches(training, plan.seed, groups=plan.groups, texts=plan.texts)
    trainer = CotTrainer(model, batches, images, plan, out / WORK)
    done = trainer.run(time_limit)
    return finish(trainer, held_out, out, prompt_set), done


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

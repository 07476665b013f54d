"""Training loop of the mini chat model on packed batches: answers, auxiliary heads and attention supervision."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.data.batch import DeviceBatch, PackedBatch, on_device
from imagescope_agent.lab.training.data.image_pool import ImagePool
from imagescope_agent.lab.training.data.mixture import TrainingPlan
from imagescope_agent.lab.training.data.packing import TURN_KINDS, Packer
from imagescope_agent.lab.training.network.attention_supervision import SUPERVISED_HEADS, AttentionSupervision
from imagescope_agent.lab.training.network.auxiliary_heads import AUXILIARY_HEADS, FORMER_HEAD_NAMES
from imagescope_agent.lab.training.vision_pretraining import patch_states

_LOSS_WEIGHTS = {"caption": 1.0, "verdict": 1.0, "judge": 0.4, "text": 3.0, "talk": 3.0, "grade": 0.3, "best": 1.0,
                 "order": 1.5, "grades": 1.0, "chain": 2.0, "decision": 0.5, "match": 2.0}  # fmt: skip

Metrics = dict[str, torch.Tensor]


class TrainingData(Protocol):
    """The packed batches of every step, and the pool of their images, if any."""

    @property
    def pool(self) -> ImagePool | None:
        """The images of all steps."""

    def step(self, number: int, packer: Packer) -> Iterator[PackedBatch]:
        """The batches of a step; always the same ones."""
        ...


class Trainer:
    """A model with its auxiliary heads and optimizer: takes steps, saves checkpoints, resumes."""

    def __init__(
        self,
        model: Qwen3VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        plan: TrainingPlan,
        out: Path,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.plan, self.out = model.to(self.device), plan, out  # type: ignore[arg-type]
        torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it; nothing changes on a CPU
        self.packer = Packer(tokenizer)
        sizes: Any = model.config.text_config
        heads = {
            name: head.make(sizes.hidden_size, sizes.vocab_size) for name, head in AUXILIARY_HEADS.items()
        }
        self.heads = nn.ModuleDict(heads).to(self.device)
        self._layer_outputs: dict[int, torch.Tensor] = {}  # hidden states after the layers that a head reads
        self._record_layers()
        layers = model.model.language_model.layers
        self.supervised = {
            name: AttentionSupervision(layers[layer].self_attn, head)
            for name, (layer, head) in SUPERVISED_HEADS.items()
        }
        self.optimizer = self._make_optimizer()
        self.weights = torch.tensor([_LOSS_WEIGHTS[kind] for kind in TURN_KINDS], device=self.device)
        self.step = 0

    def _record_layers(self) -> None:
        for number in {head.layer for head in AUXILIARY_HEADS.values()}:
            self.model.model.language_model.layers[number].register_forward_hook(
                lambda _module, _inputs, output, number=number: self._layer_outputs.update({number: output})
            )

    def _make_optimizer(self) -> torch.optim.Optimizer:
        """AdamW over two groups: the vision tower, whose learning rate is scaled, and the rest."""
        tower = self.model.model.visual.named_parameters()
        self._vision = [p for name, p in tower if not name.startswith("merger")]
        vision = {id(p) for p in self._vision}
        rest = [p for p in [*self.model.parameters(), *self.heads.parameters()] if id(p) not in vision]
        groups = [
            {"params": rest, "lr_scale": 1.0},
            {"params": self._vision, "lr_scale": self.plan.vision_lr_scale},
        ]
        return torch.optim.AdamW(groups, lr=self.plan.peak_lr, betas=(0.9, 0.97), weight_decay=0.05)

    def hidden_states(self, batch: DeviceBatch, pixels: torch.Tensor | None) -> torch.Tensor:
        """Last hidden states (b, l, width) of a packed batch with its images (n, 128, 128, 3) uint8."""
        model: Any = self.model.model
        embeddings: torch.Tensor = model.language_model.embed_tokens(batch.ids)
        if pixels is not None:
            _, tokens = patch_states(model.visual, pixels.to(self.device))
            where = (batch.ids == self.packer.image_token)[..., None]
            embeddings = embeddings.masked_scatter(where, tokens.to(embeddings.dtype))
        states: torch.Tensor = model.language_model(
            inputs_embeds=embeddings, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        return states

    def loss(self, batch: DeviceBatch, pixels: torch.Tensor | None) -> tuple[torch.Tensor, Metrics]:
        """The sum of the losses of answers, auxiliary heads and attention, and metrics for the curve."""
        half = self.plan.bfloat16 and _multiplies_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self._losses(batch, pixels)

    def _losses(self, batch: DeviceBatch, pixels: torch.Tensor | None) -> tuple[torch.Tensor, Metrics]:
        states = self.hidden_states(batch, pixels)
        total, metrics = self._answer_loss(batch, states)
        for name, targets in batch.auxiliary.items() if self.plan.auxiliary_heads else ():
            head = AUXILIARY_HEADS[name]
            loss, metrics[name] = self.heads[name](self._layer_outputs[head.layer], targets)
            total = total + head.weight * loss
        for name, targets in batch.attention.items():
            loss = self.supervised[name].loss(batch.mask, targets)
            total = total + loss
            metrics[f"attention_{name}"] = loss.detach()
        return total, metrics

    def _answer_loss(self, batch: DeviceBatch, states: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        """The weighted sum of the mean losses per kind of turn, and the token accuracy per kind."""
        answers = batch.answers
        logits = self.model.lm_head(states[answers["row"], answers["column"]]).float()
        losses = functional.cross_entropy(logits, answers["token"], reduction="none")
        right = (logits.argmax(-1) == answers["token"]).float()
        zeros = torch.zeros_like(self.weights)
        count = zeros.index_add(0, answers["kind"], torch.ones_like(losses)).clamp(min=1)
        means = zeros.index_add(0, answers["kind"], losses) / count
        accuracies = (zeros.index_add(0, answers["kind"], right) / count).unbind()
        metrics = {kind: accuracies[TURN_KINDS.index(kind)] for kind in batch.kinds}
        return batch.loss_scale * (self.weights * means).sum(), metrics

    def advance(self, batches: Sequence[PackedBatch], pool: ImagePool | None) -> dict[str, float]:
        """One optimizer step over all batches of a training step."""
        lr = learning_rate(self.step, self.plan.steps, peak=self.plan.peak_lr, warmup=self.plan.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_scale"] * lr
        for weight in self._vision:
            weight.requires_grad_(self.step >= self.plan.frozen_vision_steps)
        metrics: Metrics = {}
        for packed in batches:
            pixels = pool.take(packed.images) if pool and len(packed.images) else None
            loss, more = self.loss(on_device(packed, self.device), pixels)
            loss.backward()
            metrics = more | metrics  # of a metric that several batches have, the first one is kept
        norm = nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        names, values = [*metrics, "norm"], torch.stack([*metrics.values(), norm]).tolist()
        return dict(zip(names, values, strict=True))

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "heads": self.heads}

    def save(self) -> None:
        """Save a checkpoint."""
        save_checkpoint(self.out, self._modules, self.optimizer)

    def resume(self) -> bool:
        """Resume from the checkpoint, if there is one."""
        renamed = {f"heads.{old}.": f"heads.{new}." for old, new in FORMER_HEAD_NAMES.items()}
        self.step = load_checkpoint(self.out, self._modules, self.optimizer, renamed=renamed)
        return self.step > 0


class StepDataset:
    """The batches of every step by its number, for a data loader's workers."""

    def __init__(self, data: TrainingData, packer: Packer) -> None:
        self.data, self.packer = data, packer

    def __getitem__(self, step: int) -> list[PackedBatch]:
        """All batches of a step; always the same ones."""
        return list(self.data.step(step, self.packer))


def _load_batches(trainer: Trainer, data: TrainingData) -> Iterator[list[PackedBatch]]:
    """The batches of the remaining steps; several workers make them if a GPU would wait for one."""
    workers = max(0, (os.cpu_count() or 1) - 2) if trainer.device.type == "cuda" else 0
    steps: Any = StepDataset(data, trainer.packer)
    return iter(
        DataLoader(
            steps,
            batch_size=None,
            sampler=range(trainer.step, trainer.plan.steps),
            num_workers=workers,
            collate_fn=lambda batches: batches,
        )
    )


def train(trainer: Trainer, data: TrainingData, *, time_limit: float | None = None) -> None:
    """Train to the plan's last step, or save a checkpoint and stop after `time_limit` seconds."""
    log = MetricsLog(trainer.out / "mllm.jsonl")
    started, sums, count = time.monotonic(), dict[str, float](), 0
    for batches in _load_batches(trainer, data):
        for name, value in trainer.advance(batches, data.pool).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        if trainer.step % 25 == 0:
            seconds = time.monotonic() - started
            log.add(trainer.step, seconds=seconds, **{name: value / count for name, value in sums.items()})
            sums, count = {}, 0
        late = time_limit is not None and time.monotonic() - started > time_limit
        if trainer.step % trainer.plan.save_every == 0 or trainer.step == trainer.plan.steps or late:
            trainer.save()
        if late:
            break


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 pay: a CPU without AVX-512 only emulates them, which takes several times as long."""
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() not in (
        "DEFAULT",
        "NO AVX",
        "AVX2",
    )

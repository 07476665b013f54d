"""Stage two of the mini chat model: read pictures, answer, describe, judge and understand, all skills together.

Each step takes one batch of each sort: single pictures with a caption and many yes/no questions, pairs of pictures to
be judged, and texts to be understood. `heads` says what else it is asked and shown while it learns.
"""

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

from imagescope_agent.lab.training.batch import Batch, Packed, on_device
from imagescope_agent.lab.training.checkpoint import load_state, save_state
from imagescope_agent.lab.training.data_mixture import Plan
from imagescope_agent.lab.training.heads import GUIDES, HEADS, Guide
from imagescope_agent.lab.training.packing import KINDS, Packer
from imagescope_agent.lab.training.pool import Pool
from imagescope_agent.lab.training.schedule import Curve, rate
from imagescope_agent.lab.training.vision import patch_states

_WEIGHTS = {"caption": 1.0, "verdict": 1.0, "judge": 0.4, "text": 3.0, "talk": 3.0, "grade": 0.3, "best": 1.0,
            "order": 1.5, "grades": 1.0, "chain": 2.0, "decision": 0.5, "match": 2.0}  # fmt: skip
_GAZE = 1.0

Figures = dict[str, torch.Tensor]


class Lessons(Protocol):
    """What is learnt, step by step, and the pictures that it is about, if any."""

    @property
    def pool(self) -> Pool | None:
        """The pictures of all steps."""

    def step(self, number: int, packer: Packer) -> Iterator[Packed]:
        """The packed batches of a step; always the same."""
        ...


class Trainer:
    """Model, heads that only help to learn, and optimizer; knows how to take a step, save and go on."""

    def __init__(
        self,
        model: Qwen3VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        plan: Plan,
        out: Path,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.plan, self.out = model.to(self.device), plan, out  # type: ignore[arg-type]
        torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it; nothing changes on a CPU
        self.packer = Packer(tokenizer)
        sizes: Any = model.config.text_config
        made = {name: make(sizes.hidden_size, sizes.vocab_size) for name, (_, _, make) in HEADS.items()}
        self.heads = nn.ModuleDict(made).to(self.device)
        layers = model.model.language_model.layers
        self._after: dict[int, torch.Tensor] = {}  # hidden states after the layers that a head reads
        for number in {layer for layer, _, _ in HEADS.values()}:
            layers[number].register_forward_hook(
                lambda _module, _inputs, output, number=number: self._after.update({number: output})
            )
        self.guides = {name: Guide(layers[layer].self_attn, head) for name, (layer, head) in GUIDES.items()}
        vision = [p for name, p in model.model.visual.named_parameters() if not name.startswith("merger")]
        seen = {id(p) for p in vision}
        rest = [p for p in [*model.parameters(), *self.heads.parameters()] if id(p) not in seen]
        self._vision = vision
        groups = [{"params": rest, "share": 1.0}, {"params": vision, "share": plan.vision_share}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.peak, betas=(0.9, 0.97), weight_decay=0.05)
        self.weights = torch.tensor([_WEIGHTS[kind] for kind in KINDS], device=self.device)
        self.step = 0

    def hidden(self, batch: Batch, pixels: torch.Tensor | None) -> torch.Tensor:
        """Last hidden states (b, l, width) of a packed batch over its pictures (n, 128, 128, 3) uint8."""
        model: Any = self.model.model
        embeddings: torch.Tensor = model.language_model.embed_tokens(batch.ids)
        if pixels is not None:
            _, tokens = patch_states(model.visual, pixels.to(self.device))
            where = (batch.ids == self.packer.image_token)[..., None]
            embeddings = embeddings.masked_scatter(where, tokens)
        states: torch.Tensor = model.language_model(
            inputs_embeds=embeddings, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        return states

    def loss(self, batch: Batch, pixels: torch.Tensor | None) -> tuple[torch.Tensor, Figures]:
        """Weighted mean of the losses of the kinds of turn in the batch, and figures for the curve."""
        states = self.hidden(batch, pixels)
        total, figures = self._said(batch, states)
        for name, asked in batch.lessons.items() if self.plan.heads else ():
            layer, weight, _ = HEADS[name]
            loss, figures[name] = self.heads[name](self._after[layer], asked)
            total = total + weight * loss
        for name, gazes in batch.gazes.items():
            loss = self.guides[name].loss(batch.mask, gazes)
            total = total + _GAZE * loss
            figures[f"gaze_{name}"] = loss.detach()
        return total, figures

    def _said(self, batch: Batch, states: torch.Tensor) -> tuple[torch.Tensor, Figures]:
        """The loss of what is answered, each kind's mean by its weight, and the shares of tokens said right."""
        answers = batch.answers
        logits = self.model.lm_head(states[answers["row"], answers["column"]])
        each = functional.cross_entropy(logits, answers["token"], reduction="none")
        right = (logits.argmax(-1) == answers["token"]).float()
        zeros = torch.zeros_like(self.weights)
        count = zeros.index_add(0, answers["kind"], torch.ones_like(each)).clamp(min=1)
        means = zeros.index_add(0, answers["kind"], each) / count
        shares = (zeros.index_add(0, answers["kind"], right) / count).unbind()
        figures = {kind: shares[KINDS.index(kind)] for kind in batch.kinds}
        return batch.share * (self.weights * means).sum(), figures

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "heads": self.heads}

    def advance(self, batches: Sequence[Packed], pool: Pool | None) -> dict[str, float]:
        """One optimizer step over one batch of each sort."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate(
                self.step, self.plan.steps, peak=self.plan.peak, warmup=self.plan.warmup
            )
        for weight in self._vision:
            weight.requires_grad_(self.step >= self.plan.thaw)
        figures: Figures = {}
        for packed in batches:
            pixels = pool.take(packed.pictures) if pool and len(packed.pictures) else None
            loss, more = self.loss(on_device(packed, self.device), pixels)
            loss.backward()
            figures = more | figures  # what several batches tell is shown for the first
        norm = nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        names, values = [*figures, "norm"], torch.stack([*figures.values(), norm]).tolist()
        return dict(zip(names, values, strict=True))

    def save(self) -> None:
        """Keep weights, heads and optimizer moments."""
        save_state(self.out, self._modules, self.optimizer)

    def resume(self) -> bool:
        """Go on from the saved state, if there is one."""
        self.step = load_state(self.out, self._modules, self.optimizer)
        return self.step > 0


class Steps:
    """The batches of every step by its number, as a data loader's workers make them."""

    def __init__(self, material: Lessons, packer: Packer) -> None:
        self.material, self.packer = material, packer

    def __getitem__(self, step: int) -> list[Packed]:
        """Batch by batch what is learnt in a step; always the same."""
        return list(self.material.step(step, self.packer))


def _loaded(trainer: Trainer, material: Lessons) -> Iterator[list[Packed]]:
    """The batches of the steps to come; a device that is faster than one process has several make them."""
    workers = max(0, (os.cpu_count() or 1) - 2) if trainer.device.type == "cuda" else 0
    steps: Any = Steps(material, trainer.packer)
    return iter(
        DataLoader(
            steps,
            batch_size=None,
            sampler=range(trainer.step, trainer.plan.steps),
            num_workers=workers,
            collate_fn=lambda batches: batches,
        )
    )


def train(trainer: Trainer, material: Lessons, *, until: float | None = None) -> None:
    """Run to the plan's last step, or stop after `until` seconds with the state saved."""
    curve = Curve(trainer.out / "mllm.jsonl")
    started, sums, count = time.monotonic(), dict[str, float](), 0
    for batches in _loaded(trainer, material):
        for name, value in trainer.advance(batches, material.pool).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        if trainer.step % 25 == 0:
            seconds = time.monotonic() - started
            curve.add(trainer.step, seconds=seconds, **{name: value / count for name, value in sums.items()})
            sums, count = {}, 0
        late = until is not None and time.monotonic() - started > until
        if trainer.step % trainer.plan.save_every == 0 or trainer.step == trainer.plan.steps or late:
            trainer.save()
        if late:
            break

"""Stage two of the mini chat model: read pictures, answer, describe, judge and understand, all skills together.

Each step takes one batch of each sort: single pictures with a caption and many yes/no questions, pairs of pictures to
be judged, and texts to be understood. `heads` says what else it is asked and shown while it learns.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from imagescope_agent.training.comparing import GRADES
from imagescope_agent.training.heads import FateHead, FoundHead, GroundingHead, Guide, RelationHead
from imagescope_agent.training.material import Material, Plan
from imagescope_agent.training.packing import KINDS, Batch, Packer
from imagescope_agent.training.row import IGNORE
from imagescope_agent.training.schedule import Curve, rate
from imagescope_agent.training.state import load_state, save_state
from imagescope_agent.training.vision import patch_states

_WEIGHTS = {"caption": 1.0, "verdict": 1.0, "judge": 0.7, "text": 3.0, "talk": 3.0,
            "grade": 0.3, "best": 1.0, "order": 1.0, "grades": 1.0, "chain": 1.0, "match": 2.0}  # fmt: skip
_GAZE = 1.0
_GROUNDING = 0.3


class Trainer:
    """Model, grounding head and optimizer; knows how to take a step, save and go on."""

    def __init__(
        self,
        model: Qwen3VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        plan: Plan,
        out: Path,
    ) -> None:
        self.model, self.plan, self.out = model, plan, out
        self.packer = Packer(tokenizer)
        text = model.model.language_model
        sizes: Any = model.config.text_config
        self.head = GroundingHead(sizes.hidden_size)
        self.sides = RelationHead(sizes.hidden_size)
        self.fates = FateHead(sizes.hidden_size)
        self.found = FoundHead(sizes.hidden_size, 2, sizes.vocab_size)
        self.ends = FoundHead(sizes.hidden_size, len(GRADES), sizes.vocab_size)
        self._middle: list[torch.Tensor] = []  # after four of seven layers, and after each of the next two
        depth = len(text.layers) * 2 // 3
        for layer in text.layers[depth - 1 : -1]:
            layer.register_forward_hook(lambda _m, _i, output: self._middle.append(output))
        heads = sizes.num_attention_heads
        self.guides = {
            "previous": Guide(text.layers[0].self_attn, 0),
            "named": Guide(text.layers[depth - 2].self_attn, 0),
            "next": Guide(text.layers[depth - 1].self_attn, heads - 1),
            "tally": Guide(text.layers[depth - 1].self_attn, 0),
            "here": Guide(text.layers[depth - 2].self_attn, 1),
            "again": Guide(text.layers[depth - 2].self_attn, 2),
            "told": Guide(text.layers[depth - 2].self_attn, heads - 1),
            "onward": Guide(text.layers[depth].self_attn, 0),
            "latest": Guide(text.layers[1].self_attn, heads - 1),
            "label": Guide(text.layers[1].self_attn, 0),
            "pair": Guide(text.layers[depth].self_attn, heads - 1),
            "answer": Guide(text.layers[-2].self_attn, 0),
            "block": Guide(text.layers[-1].self_attn, 0),
            "vote": Guide(text.layers[-1].self_attn, 1),
        }
        vision = [p for name, p in model.model.visual.named_parameters() if not name.startswith("merger")]
        seen = {id(p) for p in vision}
        rest = [p for p in [*model.parameters(), *self.head.parameters()] if id(p) not in seen]
        self._vision = vision
        groups = [
            {"params": rest, "share": 1.0},
            {"params": vision, "share": plan.vision_share},
            {"params": list(self.sides.parameters()), "share": 1.0},
            {"params": list(self.fates.parameters()), "share": 1.0},
            {"params": [*self.found.parameters(), *self.ends.parameters()], "share": 1.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.peak, betas=(0.9, 0.97), weight_decay=0.05)
        self.step = 0

    def hidden(self, batch: Batch, pixels: np.ndarray | None) -> torch.Tensor:
        """Last hidden states (b, l, width) of a packed batch over its pictures (n, 128, 128, 3)."""
        model: Any = self.model.model
        embeddings: torch.Tensor = model.language_model.embed_tokens(batch.ids)
        if pixels is not None:
            _, tokens = patch_states(model.visual, torch.from_numpy(pixels))
            where = (batch.ids == self.packer.image_token)[..., None]
            embeddings = embeddings.masked_scatter(where, tokens)
        self._middle.clear()
        states: torch.Tensor = model.language_model(
            inputs_embeds=embeddings, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        return states

    def loss(
        self, batch: Batch, pixels: np.ndarray | None, share: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Weighted mean of the losses of the kinds of turn in the batch, and figures for the curve."""
        states = self.hidden(batch, pixels)
        wanted = batch.labels != IGNORE
        labels, kinds = batch.labels[wanted], batch.kinds[wanted]
        logits = self.model.lm_head(states[wanted])
        each = functional.cross_entropy(logits, labels, reduction="none")
        right = (logits.argmax(-1) == labels).float()
        total, figures = torch.zeros(()), {}
        for index, kind in enumerate(KINDS):
            mine = kinds == index
            if mine.any():
                total = total + share * _WEIGHTS[kind] * each[mine].mean()
                figures[kind] = right[mine].mean().item()
        if batch.mentions:
            grounding, told = self.head(self._middle[0], batch.mentions)
            total = total + _GROUNDING * grounding
            figures["grounding"] = told
            figures["grounding_loss"] = grounding.item()
            relations, shares = self.sides(self._middle[1], batch.mentions)
            total = total + relations
            figures |= shares
        if batch.fates:
            fates, figures["fates"] = self.fates(self._middle[0], batch.fates)
            total = total + fates
        if batch.found:
            found, figures["found"] = self.found(self._middle[1], batch.found)
            total = total + found
        if batch.ends:
            ends, figures["ends"] = self.ends(self._middle[2], batch.ends)
            total = total + ends
        for name, guide in self.guides.items():
            gazes = [gaze for gaze in batch.gazes if gaze.guide == name]
            if gazes:
                gaze_loss = guide.loss(batch.mask, gazes)
                total = total + _GAZE * gaze_loss
                figures[f"gaze_{name}"] = gaze_loss.item()
        if (kinds == KINDS.index("judge")).any():
            opening = (labels == self._yes_or_no[0]) | (labels == self._yes_or_no[1])
            figures["judge_yes_no"] = right[opening & (kinds == KINDS.index("judge"))].mean().item()
        return total, figures

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "head": self.head, "sides": self.sides, "fates": self.fates,
                "found": self.found, "ends": self.ends}  # fmt: skip

    @property
    def _yes_or_no(self) -> tuple[int, int]:
        return self.packer.encode("Yes")[0][0], self.packer.encode("No")[0][0]

    def advance(self, material: Material) -> dict[str, float]:
        """One optimizer step over one batch of each sort."""
        rng = Random(f"{self.plan.seed}-{self.step}")
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate(
                self.step, self.plan.steps, peak=self.plan.peak, warmup=self.plan.warmup
            )
        for weight in self._vision:
            weight.requires_grad_(self.step >= self.plan.thaw)
        figures: dict[str, float] = {}
        for pixels, rows, share in material.batches(rng):
            loss, more = self.loss(self.packer.pack(rows), pixels, share)
            loss.backward()
            figures = more | figures  # what several batches tell is shown for the first
        norm = nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return {**figures, "norm": float(norm)}

    def save(self) -> None:
        """Keep weights, heads and optimizer moments."""
        save_state(self.out, self._modules, self.optimizer)

    def resume(self) -> bool:
        """Go on from the saved state, if there is one."""
        self.step = load_state(self.out, self._modules, self.optimizer)
        return self.step > 0


def train(trainer: Trainer, material: Material, *, until: float | None = None) -> None:
    """Run to the plan's last step, or stop after `until` seconds with the state saved."""
    curve = Curve(trainer.out / "mllm.jsonl")
    started, sums, count = time.monotonic(), dict[str, float](), 0
    while trainer.step < trainer.plan.steps:
        for name, value in trainer.advance(material).items():
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

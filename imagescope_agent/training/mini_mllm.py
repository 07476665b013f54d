"""Stage two of the mini chat model: read pictures, answer, describe, judge and understand, all skills together.

Each step takes one batch of each sort: single pictures with a caption and many yes/no questions, pairs of pictures to
be judged, and texts to be understood. While the model learns to answer, a light head also asks it, at the name of
every thing in a question, where that thing is and how many there are; without it the two-step skills (relations)
stay at their prior for a very long time. The head is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import rotate_half

from imagescope_agent.scenes.world import Scene
from imagescope_agent.training.examples import (
    Branch,
    caption_branch,
    judge_branch,
    reading_branches,
    search_branches,
    verdict_branches,
)
from imagescope_agent.training.families import KINDS_A_FAMILY, SCENES_A_FAMILY, families
from imagescope_agent.training.packing import IGNORE, KINDS, Batch, Gaze, Mention, Packer
from imagescope_agent.training.pool import SIDE, open_shard
from imagescope_agent.training.schedule import Curve, rate
from imagescope_agent.training.state import load_state, save_state
from imagescope_agent.training.vision import patch_states

_WEIGHTS = {"caption": 1.0, "verdict": 1.0, "judge": 0.7, "text": 1.0}
_GAZE = 1.0
_GROUNDING = 0.3
_MOST = 4  # the count head tells 0, 1, 2, 3 and "4 or more" apart


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how much: rows of each sort in a step, learning rates, and how often to save.

    The vision tower rests for the first `thaw` steps (it has learnt to see in stage one, and the language model has
    everything to learn), then follows at `vision_share` of the rate.
    """

    steps: int
    scenes: int = 12
    questions: int = 12
    pairs: int = 6
    texts: int = 4
    peak: float = 1e-3
    thaw: int = 1500
    vision_share: float = 0.3
    warmup: int = 60
    save_every: int = 100
    seed: int = 0


class GroundingHead(nn.Module):
    """At the end of a thing's name: how many such things there are, and where the only one is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.count = nn.Linear(width, _MOST + 1)
        self.where = nn.Linear(width, 3)  # x, y, diameter in fractions of the side

    def forward(self, states: torch.Tensor, mentions: tuple[Mention, ...]) -> tuple[torch.Tensor, float]:
        """Loss for hidden states (b, l, width), and the share of counts told right."""
        rows = torch.tensor([mention.row for mention in mentions])
        columns = torch.tensor([mention.column for mention in mentions])
        found = [mention.pattern.among(mention.scene) for mention in mentions]
        counts = torch.tensor([min(len(things), _MOST) for things in found])
        chosen = self.norm(states[rows, columns])
        guess = self.count(chosen)
        loss = functional.cross_entropy(guess, counts)
        alone = counts == 1
        if alone.any():
            truth = torch.tensor([(t[0].x, t[0].y, t[0].diameter) for t in found if len(t) == 1])
            loss = loss + 4 * functional.l1_loss(self.where(chosen[alone]), truth)
        return loss, float((guess.argmax(-1) == counts).float().mean())


class Guide:
    """Shows one attention head of one layer where to look, as long as it is being taught.

    Finding the patch that a word speaks of is learnt very slowly from the answers alone: all heads start by looking
    everywhere. The head's own attention is computed once more for the places in question and compared with the image
    tokens that the thing covers.
    """

    def __init__(self, attention: nn.Module, head: int) -> None:
        self.attention, self.head = attention, head
        self._seen: tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]] | None = None
        attention.register_forward_pre_hook(self._remember, with_kwargs=True)

    def _remember(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._seen = kwargs["hidden_states"], kwargs["position_embeddings"]

    def loss(self, mask: torch.Tensor, gazes: Sequence[Gaze]) -> torch.Tensor:
        """Mean of -log(attention on the right image tokens) over the gazes; mask (b, 1, l, l) as the model had it."""
        assert self._seen is not None, "the model has not run"
        states, (cos, sin) = self._seen
        attention: Any = self.attention
        rows = torch.tensor([gaze.row for gaze in gazes])
        columns = torch.tensor([gaze.column for gaze in gazes])
        width = attention.head_dim
        query = attention.q_norm(attention.q_proj(states[rows, columns]).view(len(gazes), -1, width))[
            :, self.head
        ]
        key = attention.k_norm(attention.k_proj(states).view(*states.shape[:2], -1, width))
        key = key[:, :, self.head // attention.num_key_value_groups]
        query = query * cos[rows, columns] + rotate_half(query) * sin[rows, columns]
        key = key * cos + rotate_half(key) * sin
        scores = torch.einsum("nd,nld->nl", query, key[rows]) * attention.scaling
        scores = scores.masked_fill(~mask[rows, 0, columns], -torch.inf)
        wanted = torch.zeros_like(scores, dtype=torch.bool)
        for number, gaze in enumerate(gazes):
            wanted[number, list(gaze.tokens)] = True
        right = scores.masked_fill(~wanted, -torch.inf)
        surprise: torch.Tensor = scores.logsumexp(-1) - right.logsumexp(-1)
        return surprise.mean()


class Material:
    """The pictures of the pool and the turns made up about them; step `n` always gets the same ones."""

    def __init__(self, pool: Path, plan: Plan, family_seeds: range) -> None:
        self.plan = plan
        self.pixels, self.scenes = open_shard(pool / "singles")
        self.family_pixels, _ = open_shard(pool / "families")
        self.families = [one for seed in family_seeds for one in families(seed)]
        self.blank = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)

    def singles(self, rng: Random) -> tuple[np.ndarray, list[tuple[int, list[Branch]]]]:
        """Single pictures: a caption and many questions each; a quarter of them from families."""
        pixels, rows = [], []
        for _ in range(self.plan.scenes):
            scene, picture = self._any(rng)
            pixels.append(picture)
            rows.append((1, [caption_branch(scene), *verdict_branches(scene, rng, self.plan.questions)]))
        return np.stack(pixels), rows

    def _any(self, rng: Random) -> tuple[Scene, np.ndarray]:
        if rng.random() < 0.75:
            index = rng.randrange(len(self.scenes))
            return self.scenes[index], self.pixels[index]
        family, member = rng.randrange(len(self.families)), rng.randrange(SCENES_A_FAMILY)
        return self.families[family][0][member], self.family_pixels[family * SCENES_A_FAMILY + member]

    def pairs(self, rng: Random) -> tuple[np.ndarray, list[tuple[int, list[Branch]]]]:
        """Two pictures and a request: composed (reference first) and plain (a blank first) in turn."""
        pixels, rows = [], []
        for number in range(self.plan.pairs):
            if number % 2:
                scene, picture = self._any(rng)
                pixels += [self.blank, picture]
                rows.append((2, search_branches(scene, rng)))
            else:
                family = rng.randrange(len(self.families))
                scenes, queries = self.families[family]
                change = rng.randrange(KINDS_A_FAMILY)
                member = 1 + 2 * change + (rng.random() < 0.4)
                first = family * SCENES_A_FAMILY
                pixels += [self.family_pixels[first], self.family_pixels[first + member]]
                other = queries[(change + 1) % KINDS_A_FAMILY]
                asked = [queries[change]] if rng.random() < 0.6 else [queries[change], other]
                rows.append((2, [judge_branch(query, scenes[member]) for query in asked]))
        return np.stack(pixels), rows

    def texts(self, rng: Random) -> list[tuple[int, list[Branch]]]:
        """Nothing to see: understanding requests and turning steps into questions."""
        return [(0, reading_branches(rng)) for _ in range(self.plan.texts)]


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
        self._middle: list[torch.Tensor] = []
        depth = len(text.layers) * 2 // 3
        text.layers[depth - 1].register_forward_hook(lambda _m, _i, output: self._middle.append(output))
        heads = sizes.num_attention_heads
        self.guides = {
            "previous": Guide(text.layers[0].self_attn, 0),
            "named": Guide(text.layers[depth - 2].self_attn, 0),
            "next": Guide(text.layers[depth - 1].self_attn, heads - 1),
        }
        vision = [p for name, p in model.model.visual.named_parameters() if not name.startswith("merger")]
        seen = {id(p) for p in vision}
        rest = [p for p in [*model.parameters(), *self.head.parameters()] if id(p) not in seen]
        self._vision = vision
        groups = [{"params": rest, "share": 1.0}, {"params": vision, "share": plan.vision_share}]
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

    def loss(self, batch: Batch, pixels: np.ndarray | None) -> tuple[torch.Tensor, dict[str, float]]:
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
                total = total + _WEIGHTS[kind] * each[mine].mean()
                figures[kind] = right[mine].mean().item()
        if batch.mentions:
            grounding, share = self.head(self._middle[-1], batch.mentions)
            total = total + _GROUNDING * grounding
            figures["grounding"] = share
            figures["grounding_loss"] = grounding.item()
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
        for pixels, rows in (material.singles(rng), material.pairs(rng), (None, material.texts(rng))):
            loss, more = self.loss(self.packer.pack(rows), pixels)
            loss.backward()
            figures |= more
        norm = nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return {**figures, "norm": float(norm)}

    def save(self) -> None:
        """Keep weights, head and optimizer moments."""
        save_state(self.out, {"model": self.model, "head": self.head}, self.optimizer)

    def resume(self) -> bool:
        """Go on from the saved state, if there is one."""
        self.step = load_state(self.out, {"model": self.model, "head": self.head}, self.optimizer)
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

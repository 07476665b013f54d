"""Trains the adapter: first the projector alone, by words of captions, then all of it with the language model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.photo_chat.intents import intent_turn
from imagescope_agent.lab.training.photo_chat.questions import SORTS, Lexicon
from imagescope_agent.lab.training.photo_chat.rows import NOTHING, Batch, Row, Writer, batch_rows
from imagescope_agent.photo_chat.lora import add_lora
from imagescope_agent.photo_chat.projector import Projector
from imagescope_agent.prompting import load_prompt

Grids = npt.NDArray[np.float16]
PROMPT_SET = "mini"
CAPTION = load_prompt("caption", prompt_set=PROMPT_SET).text
SAVE_EVERY, LOG_EVERY = 20, 10  # steps
CAPTION_WEIGHT, INTENT_WEIGHT = 4.0, 3.0  # of an answer; a yes or no has 1
DROPOUT, SMALLEST = 0.3, 1e-2  # of features, and of their deviation
PROJECTOR_RATE = 0.1


@dataclass(frozen=True, kw_only=True)
class ChatPlan:
    """How an adapter is trained.

    Args:
        rank: of the changes of the language model.
        word_steps: steps of the projector alone.
        word_batch: photos of such a step.
        steps: steps of both.
        batch: photos of such a step.
        captions: of a photo in a step.
        questions: about a photo in a step.
        intents: share of the photos of a step beside which a query is read.
        peak_lr: of the changes; the projector learns at a tenth of it.
        seed: of everything that is drawn.
    """

    rank: int = 6
    word_steps: int = 500
    word_batch: int = 256
    steps: int = 4000
    batch: int = 4
    captions: int = 3
    questions: int = 6
    intents: float = 0.25
    peak_lr: float = 1.5e-3
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Photos with captions: grids (n, cells, features), and n lists of captions."""

    grids: Grids
    captions: Sequence[Sequence[str]]


class ChatTrainer:
    """What is drawn in a step depends on the seed and its number alone, so a resumed run is the same.

    Args:
        language: the model, its weights frozen here, and its tokenizer.
        projector: with its words.
        photos: to learn from.
        lexicon: of their captions.
        plan: how.
        work: folder of the checkpoints and the curves.
    """

    def __init__(
        self,
        language: tuple[Any, Any],
        projector: Projector,
        photos: Photos,
        lexicon: Lexicon,
        plan: ChatPlan,
        work: Path,
    ) -> None:
        torch.manual_seed(plan.seed)
        (self.model, tokenizer), self.projector = language, projector
        self.photos, self.lexicon, self.plan, self.work = photos, lexicon, plan, work
        self.writer = Writer(tokenizer, photos.grids.shape[1])
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.changes = add_lora(self.model, plan.rank)
        self.embeddings = self.model.get_input_embeddings().weight

    def teach_words(self, targets: npt.NDArray[np.float32]) -> None:
        """Teach the projector which words captions hold, from whole pictures; no language model is run.

        Args:
            targets: (n, words) share of a photo's captions that hold each word.
        """
        plan, folder, projector = self.plan, self.work / "words", self.projector
        pooled = torch.from_numpy(self.photos.grids.mean(axis=1, dtype=np.float32))
        shares = torch.from_numpy(targets)
        with torch.no_grad():
            projector.middle.copy_(pooled.mean(0))
            projector.spread.copy_(pooled.std(0) + SMALLEST)
            projector.bias.copy_(torch.logit(shares.mean(0).clamp(1e-5, 1 - 1e-5)))
        optimizer = torch.optim.AdamW([*projector.ask.parameters(), projector.bias], weight_decay=0.1)
        step = load_checkpoint(folder, {"projector": projector}, optimizer)
        log = MetricsLog(folder / "curve.jsonl")
        while step < plan.word_steps:
            drawn = np.random.default_rng([plan.seed, step])
            torch.manual_seed(int(drawn.integers(2**31)))
            rows = drawn.choice(len(pooled), min(plan.word_batch, len(pooled)), replace=False)
            _set_rate(optimizer, learning_rate(step, plan.word_steps, peak=3e-4, warmup=20))
            logits = projector.logits(functional.dropout(pooled[rows], DROPOUT), self.embeddings)
            loss = functional.binary_cross_entropy_with_logits(logits, shares[rows]) * logits.shape[1]
            _take(optimizer, loss, projector)
            step += 1
            if step % 100 == 0 or step == plan.word_steps:
                log.add(step, loss=float(loss.detach()))
                save_checkpoint(folder, {"projector": projector}, optimizer)

    def train(self, *, time_limit: float | None = None) -> bool:
        """Take the steps that are left, or those for which there is time (in seconds); whether all are taken."""
        plan, started = self.plan, time.monotonic()
        modules: dict[str, nn.Module] = {"projector": self.projector, "changes": self.changes}
        optimizer = torch.optim.AdamW(
            [
                {"params": [*self.changes.parameters()], "share": 1.0},
                {"params": [*self.projector.parameters()], "share": PROJECTOR_RATE},
            ],
            weight_decay=0.0,
        )
        step, log = load_checkpoint(self.work, modules, optimizer), MetricsLog(self.work / "curve.jsonl")
        while step < plan.steps:
            _set_rate(
                optimizer, learning_rate(step, plan.steps, peak=plan.peak_lr, warmup=max(1, plan.steps // 20))
            )
            loss = self.loss(*self.draw(step))
            _take(optimizer, loss, nn.ModuleDict(modules))
            step += 1
            late = time_limit is not None and time.monotonic() - started > time_limit
            if step % LOG_EVERY == 0 or step == plan.steps:
                log.add(step, seconds=time.monotonic() - started, loss=float(loss.detach()))
            if step % SAVE_EVERY == 0 or step == plan.steps or late:
                save_checkpoint(self.work, modules, optimizer)
            if late:
                break
        return step >= plan.steps

    def draw(self, step: int) -> tuple[Batch, torch.Tensor]:
        """The rows of a step and the grids of their pictures."""
        rng = Random(f"{self.plan.seed} {step}")
        chosen = [rng.randrange(len(self.photos.captions)) for _ in range(self.plan.batch)]
        rows = [self.row(number, rng) for number in chosen]
        for number in chosen:
            if rng.random() < self.plan.intents:
                rows.append(row := Row())
                self.writer.ask(row, *self._intent(number, rng), end=True, weight=INTENT_WEIGHT)
        return batch_rows(rows, self.embeddings.dtype), torch.from_numpy(self.photos.grids[chosen])

    def row(self, number: int, rng: Random) -> Row:
        """Captions of a photo and questions about it."""
        captions = [*self.photos.captions[number]]
        rng.shuffle(captions)
        row = self.caption_row(captions[: self.plan.captions])
        for place in range(self.plan.questions):
            others = self.photos.captions[rng.randrange(len(self.photos.captions))]
            sort = SORTS[(place + number) % len(SORTS)]
            question = self.lexicon.ask(sort, captions, others, rng.random() < 0.5, rng)
            if question is not None:
                self.writer.ask(
                    row, question.text, ["Yes" if question.answer else "No"], end=False, weight=1.0
                )
        return row

    def caption_row(self, captions: Sequence[str]) -> Row:
        """Captions of a photo."""
        row = self.writer.photo()
        told = [_sentence(each) for each in captions]
        self.writer.ask(row, CAPTION, told, end=True, weight=CAPTION_WEIGHT)
        return row

    def _intent(self, number: int, rng: Random) -> tuple[str, list[str]]:
        others = self.photos.captions[rng.randrange(len(self.photos.captions))]
        prompt, answer = intent_turn(rng.choice([*self.photos.captions[number]]), rng.choice([*others]), rng)
        return prompt, [answer]

    def loss(self, batch: Batch, grids: torch.Tensor) -> torch.Tensor:
        """Weighed cross-entropy of what is taught, summed over a row and averaged over rows."""
        hidden = self.hidden(batch, grids)
        taught = batch.targets != NOTHING
        logits = hidden[taught] @ self.embeddings.T
        each = functional.cross_entropy(logits.float(), batch.targets[taught], reduction="none")
        found: torch.Tensor = (each * batch.weights[taught]).sum() / len(batch.ids)
        return found

    def hidden(self, batch: Batch, grids: torch.Tensor) -> torch.Tensor:
        """Last hidden states, (rows, length, width)."""
        pictures = self.projector(grids.float(), self.embeddings).to(self.embeddings.dtype)
        embeds = self.embeddings[batch.ids]
        mask = batch.ids == self.writer.image
        embeds = embeds.masked_scatter(mask[..., None], pictures)
        output = self.model.model(
            inputs_embeds=embeds, position_ids=batch.positions, attention_mask=batch.bias, use_cache=False
        )
        found: torch.Tensor = output.last_hidden_state
        return found


def _sentence(caption: str) -> str:
    plain = caption.strip(" .")
    return f"{plain[:1].upper()}{plain[1:]}."


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def _take(optimizer: torch.optim.Optimizer, loss: torch.Tensor, module: nn.Module) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([each for each in module.parameters() if each.requires_grad], 1.0)
    optimizer.step()

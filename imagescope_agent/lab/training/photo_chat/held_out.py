"""What an adapter answers about photos that it was not taught."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import torch

from imagescope_agent.lab.training.photo_chat.questions import SORTS, Question
from imagescope_agent.lab.training.photo_chat.rows import batch_rows
from imagescope_agent.lab.training.photo_chat.trainer import CAPTION_WEIGHT, ChatTrainer, Photos

EACH = 4  # questions of a sort about a photo, half of them with the answer yes
SEED = 77


def measure(trainer: ChatTrainer, photos: Photos) -> dict[str, float]:
    """ "loss" of a token of captions, and area under the curve of P(yes) by sort of question, where both answers occur.

    Args:
        trainer: whose weights answer.
        photos: not learned from.
    """
    figures = {"loss": _caption_loss(trainer, photos)}
    asked = held_out_questions(trainer, photos)
    found = [yes_probabilities(trainer, photos, number, questions) for number, questions in enumerate(asked)]
    for sort in SORTS:
        pairs = [
            (question.answer, chance)
            for questions, chances in zip(asked, found, strict=True)
            for question, chance in zip(questions, chances, strict=True)
            if question.sort == sort
        ]
        if 0 < sum(answer for answer, _ in pairs) < len(pairs):
            figures[f"auc {sort}"] = area([answer for answer, _ in pairs], [chance for _, chance in pairs])
    return figures


def held_out_questions(trainer: ChatTrainer, photos: Photos) -> list[list[Question]]:
    """Questions about each photo, the same for every model that is asked."""
    rng, found = Random(SEED), []
    for captions in photos.captions:
        made = [
            trainer.lexicon.ask(sort, captions, rng.choice([*photos.captions]), place % 2 == 0, rng)
            for sort in SORTS
            for place in range(EACH)
        ]
        found.append([question for question in dict.fromkeys(made) if question is not None])
    return found


def yes_probabilities(
    trainer: ChatTrainer, photos: Photos, number: int, questions: Sequence[Question]
) -> list[float]:
    """P(yes) against no of questions about a photo."""
    row = trainer.writer.photo()
    for question in questions:
        trainer.writer.ask(row, question.text, ["Yes"], end=False, weight=1.0)
    batch = batch_rows([row], trainer.embeddings.dtype)
    labels = [trainer.writer.text(word)[0] for word in ("Yes", "No")]
    with torch.inference_mode():
        hidden = trainer.hidden(batch, torch.from_numpy(photos.grids[number : number + 1]))
        logits = hidden[batch.targets == labels[0]] @ trainer.embeddings[labels].T
    return [float(row[0]) for row in logits.float().softmax(dim=-1)]


def area(answers: Sequence[bool], scores: Sequence[float]) -> float:
    """Area under the curve: how often a yes scores above a no, ties counting half."""
    values, right = np.asarray(scores), np.asarray(answers)
    yes, no = values[right][:, None], values[~right][None]
    return float((yes > no).mean() + (yes == no).mean() / 2)


def _caption_loss(trainer: ChatTrainer, photos: Photos) -> float:
    """Mean loss of a token of a caption, in nats."""
    losses = []
    with torch.inference_mode():
        for number, captions in enumerate(photos.captions):
            batch = batch_rows([trainer.caption_row(captions)], trainer.embeddings.dtype)
            loss = trainer.loss(batch, torch.from_numpy(photos.grids[number : number + 1]))
            losses.append(float(loss) / CAPTION_WEIGHT / len(captions))
    return float(np.mean(losses))

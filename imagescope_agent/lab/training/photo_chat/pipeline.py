"""`imagescope train photos-chat`: grids of features, adapter, and what it answers about photos that it never saw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.packed_weights import factored, packed
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.photo_chat.card import CARD, card
from imagescope_agent.lab.training.photo_chat.held_out import measure
from imagescope_agent.lab.training.photo_chat.questions import Lexicon
from imagescope_agent.lab.training.photo_chat.trainer import ChatPlan, ChatTrainer, Grids, Photos
from imagescope_agent.lab.training.photo_chat.words import make_projector, word_shares
from imagescope_agent.lab.training.photos.features import Features, FeatureStore, stored_pictures
from imagescope_agent.lab.training.photos.pipeline import LEAST, VISION_NAME, Captioned, require_same
from imagescope_agent.photo_chat.assemble import (
    ADAPTER,
    FORMAT,
    LEFT,
    MAP,
    RIGHT,
    TABLE,
    read_table,
    under,
    whole,
)
from imagescope_agent.photo_chat.language import SMOLLM2, load_language
from imagescope_agent.photo_chat.lora import cut, widened
from imagescope_agent.photo_chat.projector import GRID, grid_features, open_tower
from imagescope_agent.retrieval.embedders.backbones import VISION, VisionBackbone

BATCH = 4  # photos in the image model at once
#: Ranks of what is written, the projector's map and the changes; it is half as large, and its answers are as before.
MAP_RANK, KEPT_RANK = 240, 4
HELD_OUT, MOST_HELD_OUT = 20, 100  # one in so many photos, and at most so many, are not learned from


def train_photo_chat(
    data: Sequence[Captioned],
    out: Path,
    *,
    work: Path,
    start: Path | None = None,
    plan: ChatPlan | None = None,
    time_limit: float | None = None,
) -> dict[str, float]:
    """Train an adapter and write its folder (see `photo_chat.assemble`), unless the time is over before.

    Args:
        data: to learn from; some of it is held out.
        out: folder of the finished adapter.
        work: folder of features, checkpoints and curves.
        start: an adapter to go on from.
        plan: how; the default plan when None.
        time_limit: in seconds, for the steps with the language model.

    Returns:
        Of the held-out photos: "loss" of a token of captions, and "auc" of the answers by sort of question; nothing
        where the time was over before.

    Raises:
        BadInput: too few captioned photos, the checkpoint in `work` is of another plan or other data, or `start` is no
            adapter for such a plan.
        MissingExtra: a packaged model is not installed.
    """
    plan = plan or ChatPlan()
    if len(data) < LEAST:
        raise BadInput(f"{len(data)} pictures with captions are too few to learn from; give {LEAST} or more")
    if start is not None:
        read_table(start)
    trainer, held_out = _prepared(data, work, start, plan)
    if not trainer.train(time_limit=time_limit):
        return {}
    write_adapter(trainer, out)
    figures = measure(trainer, held_out)
    write_atomic(out / CARD, card(plan, len(trainer.photos.captions), len(held_out.captions), figures))
    return figures


def _prepared(
    data: Sequence[Captioned], work: Path, start: Path | None, plan: ChatPlan
) -> tuple[ChatTrainer, Photos]:
    """What trains the language model, its projector knowing words, and the photos that are held out."""
    vision = VISION[VISION_NAME]
    grids, kept = picture_grids([each.path for each in data], vision, work)
    told = {each.path: list(each.captions) for each in data}
    photos, held_out = _parted(Photos(grids=grids, captions=[told[path] for path in kept]), plan.seed)
    place = work / f"photos-chat-{plan.seed}"
    learned = hashlib.sha256(json.dumps(photos.captions).encode()).hexdigest()
    require_same(place, {"plan": vars(plan), "captions": learned, "start": str(start or "")})
    lexicon, language = Lexicon(photos.captions), load_language(torch.bfloat16)
    projector, words = make_projector(lexicon, language[1], vision.width, SMOLLM2.width)
    trainer = ChatTrainer(language, projector, photos, lexicon, plan, place)
    if start is None:
        trainer.teach_words(word_shares(photos.captions, words))
    else:
        go_on(trainer, start)
    return trainer, held_out


def picture_grids(paths: Sequence[Path], backbone: VisionBackbone, work: Path) -> tuple[Grids, list[Path]]:
    """(n, cells, width) features of the pictures that can be read, computed once, and their paths.

    Raises:
        MissingExtra, BadInput: as `Backbone.find`.
    """
    store = FeatureStore(work / f"grids-{backbone.identity[:16]}.sqlite")
    rows, kept = stored_pictures(paths, store, lambda: _grids_of(backbone))
    return rows.astype(np.float16).reshape(len(kept), GRID * GRID, -1), kept


def _grids_of(backbone: VisionBackbone) -> Callable[[Sequence[Any]], Features]:
    from imagescope_agent.photo_chat.model import prepared

    tower = open_tower(backbone.timm, backbone.tensors()[0])

    def encode(images: Sequence[Any]) -> Features:
        with torch.inference_mode():
            pixels = torch.stack([prepared(image) for image in images])
            found = torch.cat([grid_features(tower, few) for few in pixels.split(BATCH)])
        rows: Features = found.flatten(1).numpy()
        return rows

    return encode


def write_adapter(trainer: ChatTrainer, out: Path) -> None:
    """Write the folder of an adapter: its maps of fewer ranks than were trained, in 8 bits."""
    tensors = {f"projector.{name}": each for name, each in trainer.projector.state_dict().items()}
    tensors |= {f"changes.{name}": each for name, each in cut(trainer.changes, KEPT_RANK).items()}
    if min(tensors[MAP].shape) > MAP_RANK:
        tensors[MAP + LEFT], tensors[MAP + RIGHT] = factored(tensors.pop(MAP), MAP_RANK)
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{ADAPTER}.part"
    save_file(packed(tensors), part)
    part.replace(out / ADAPTER)
    table = {
        "format": FORMAT,
        "vision": VISION_NAME,
        "language": SMOLLM2.identity,
        "words": len(trainer.projector.words),
        "rank": min(trainer.plan.rank, KEPT_RANK),
    }
    write_atomic(out / TABLE, json.dumps(table, indent=1) + "\n")


def go_on(trainer: ChatTrainer, start: Path) -> None:
    """Begin with the weights of a finished adapter.

    Raises:
        BadInput: it has other words than these captions, or another rank.
    """
    _, table = read_table(start)
    ranks = (trainer.plan.rank, min(trainer.plan.rank, KEPT_RANK))
    if table["words"] != len(trainer.projector.words) or table["rank"] not in ranks:
        raise BadInput(
            f"the adapter in {str(start)!r} has other words or another rank; give the data that it was trained on"
        )
    tensors = widened(whole(load_file(start / ADAPTER)), trainer.plan.rank)
    for module, prefix in ((trainer.projector, "projector."), (trainer.changes, "changes.")):
        module.load_state_dict(under(tensors, prefix))


def _parted(photos: Photos, seed: int) -> tuple[Photos, Photos]:
    """Photos to learn from, and some to measure on."""
    order = list(range(len(photos.captions)))
    Random(seed).shuffle(order)
    count = min(MOST_HELD_OUT, max(1, len(order) // HELD_OUT))
    parts = sorted(order[count:]), sorted(order[:count])
    learned, kept = (
        Photos(grids=photos.grids[part], captions=[photos.captions[number] for number in part])
        for part in parts
    )
    return learned, kept

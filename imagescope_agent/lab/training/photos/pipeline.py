"""`imagescope train photos`: features, head, and what it was trained on; every stage goes on after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.packed_weights import packed, unpacked
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.photos.calibration import calibrate
from imagescope_agent.lab.training.photos.features import Features, caption_features, picture_features
from imagescope_agent.lab.training.photos.head import HeadPlan, HeadTrainer, Pairs
from imagescope_agent.lab.training.photos.merged import Maps, merged
from imagescope_agent.retrieval.domain import fit
from imagescope_agent.retrieval.embedders.assembled import CALIBRATED, HEAD, TABLE, identity
from imagescope_agent.retrieval.embedders.backbones import TEXT, VISION, TextBackbone, VisionBackbone
from imagescope_agent.retrieval.embedders.calibrated import Calibration
from imagescope_agent.retrieval.embedders.class_names import class_names, class_texts, texts_hash

VISION_NAME, TEXT_NAME = "efficientnet-lite2", "all-minilm-l6-v2"
LEAST = 32  # pictures with captions
OTHER = ("drawn scenes", "mini")  # what looks otherwise, and the profile for it


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """A picture and what people say of it."""

    path: Path
    captions: tuple[str, ...]


def train_photos(  # half of it tells the arguments
    data: Sequence[Captioned],
    out: Path,
    *,
    work: Path,
    dev: Sequence[Captioned] = (),
    plan: HeadPlan | None = None,
    further: Sequence[str] = (),
) -> dict[str, float]:
    """Train heads, merge them and write the folder of the one.

    Args:
        data: to learn from.
        out: folder of the finished head (see `embedders.assembled`).
        work: folder of features, and of checkpoint and curve of each head.
        dev: pictures that are not learned from; their recall is in the curve.
        plan: how; the shipped head's plan when None.
        further: captions of other pictures, which the calibration heeds (see `calibrate`).

    Returns:
        R@1, R@5 and R@10 on `dev`; nothing where there is none.

    Raises:
        BadInput: too few captioned pictures, or the checkpoint in `work` is of another plan or other data.
        MissingExtra: a backbone is not installed.
    """
    plan = plan or HeadPlan()
    if len(data) < LEAST:
        raise BadInput(f"{len(data)} pictures with captions are too few to learn from; give {LEAST} or more")
    vision, text = VISION[VISION_NAME], TEXT[TEXT_NAME]
    pairs = make_pairs(data, vision, text, work)
    held_out = make_pairs(dev, vision, text, work) if dev else None
    classes = class_pairs(vision, text)
    heads = train_heads(pairs, classes, plan, work, held_out)
    head = merged(heads, pairs.pictures, pairs.texts)
    others = caption_features(further, text, work) if further else None
    calibrated = calibrate(head, pairs, classes[1], vision.tensors()[1], others)
    write_head(head, out, calibrated.calibration, pairs.pictures)
    vectors = calibrated.pictures(pairs.pictures)
    texts = [caption for each in data for caption in each.captions]
    known = fit(
        vectors, texts, subject="photos", profile="photos", weights=identity(out), other=OTHER,
        names=class_texts(vision),
    )  # fmt: skip
    known.save(out / "domain")
    return calibrated.recall(held_out) if held_out else {}


def train_heads(
    pairs: Pairs, classes: tuple[Features, Features] | None, plan: HeadPlan, work: Path, dev: Pairs | None
) -> list[Maps]:
    """The heads of a plan, each of a seed and in a folder of its own; what was trained before is not trained again.

    Raises:
        BadInput: a folder holds another training.
    """
    digest, heads = _digest(pairs), []
    for number in range(plan.heads):
        one = replace(plan, seed=plan.seed * plan.heads + number, heads=1)
        place = work / f"photos-{one.seed}"
        require_same(place, {"plan": vars(one), "data": digest})
        print(f"head {number + 1} of {plan.heads}", flush=True)
        heads.append(HeadTrainer(pairs, classes, one, place).train(dev).maps())
    return heads


def make_pairs(data: Sequence[Captioned], vision: VisionBackbone, text: TextBackbone, work: Path) -> Pairs:
    """The features of captioned pictures; what cannot be read is left out."""
    pictures, kept = picture_features([each.path for each in data], vision, work)
    rows = {path: row for row, path in enumerate(kept)}
    told = [(caption, rows[each.path]) for each in data if each.path in rows for caption in each.captions]
    texts = caption_features([caption for caption, _ in told], text, work)
    return Pairs(pictures=pictures, texts=texts, owners=[owner for _, owner in told])


def class_pairs(vision: VisionBackbone, text: TextBackbone) -> tuple[Features, Features]:
    """The classifier's weights and the names of its classes, as features."""
    _, (classifier, _) = vision.tensors()
    weights: Features = classifier.float().numpy()
    return weights, class_names(vision, text)


def write_head(head: Maps, out: Path, calibration: Calibration, pictures: Features) -> None:
    """Write a head's folder, its two large tensors in 8 bits and the rest in 16.

    Args:
        head: its maps.
        out: the folder.
        calibration: its calibration.
        pictures: (n, picture width) of photos, whose mean vector stays what it was: features are positive, so that
            what rounding adds to a row is much the same for all of them.
    """
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{HEAD}.part"
    tensors = head.tensors() | {name: torch.from_numpy(each) for name, each in calibration.tensors().items()}
    small = packed({name: tensors.pop(name) for name in ("visual", "bank")})
    lost = head.tensors()["visual"] - unpacked(small)["visual"]
    tensors["bias"] = tensors["bias"] + lost @ torch.from_numpy(pictures.mean(axis=0))
    save_file({name: each.half().contiguous() for name, each in tensors.items()} | small, part)
    part.replace(out / HEAD)
    table: dict[str, object] = {
        "format": CALIBRATED,
        "vision": VISION_NAME,
        "text": TEXT_NAME,
        "embed_dim": len(head.visual),
    }
    names = texts_hash(class_texts(VISION[VISION_NAME]))
    table |= {"calibration": calibration.table() | {"names": names}}
    write_atomic(out / TABLE, json.dumps(table, indent=1) + "\n")


def _digest(pairs: Pairs) -> str:
    """What tells the features of other pictures or captions apart."""
    return hashlib.sha256(
        pairs.pictures.tobytes() + pairs.texts.tobytes() + repr(pairs.owners).encode()
    ).hexdigest()


def require_same(place: Path, what: dict[str, object]) -> None:
    """Refuse to go on with a checkpoint of another training."""
    file = place / "training.json"
    now = json.dumps(what, sort_keys=True)
    if file.is_file() and file.read_text(encoding="utf-8") != now:
        raise BadInput(f"{str(place)!r} holds another training; remove it, or name another --work")
    place.mkdir(parents=True, exist_ok=True)
    write_atomic(file, now)

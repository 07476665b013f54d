"""The names of an image model's classes as features of a sentence model, computed so that no file ships them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.backbones import TextBackbone, VisionBackbone
from imagescope_agent.retrieval.vectors import Vectors

BATCH = 32


def class_texts(backbone: VisionBackbone) -> list[str]:
    """A caption for each class: its first name in ImageNet, as timm has it."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    described = [str(info.index_to_description(number)) for number in range(backbone.classes)]
    return [f"a photo of a {each.partition(',')[0]}" for each in described]


def texts_hash(texts: Sequence[str]) -> str:
    """sha256 over texts in order."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def class_names(vision: VisionBackbone, text: TextBackbone, expected: str | None = None) -> Vectors:
    """(classes, text width) features of `class_texts`.

    Args:
        vision: whose classes.
        text: what reads their names.
        expected: `texts_hash` of the names; None for whatever timm says.

    Raises:
        BadInput: timm names the classes otherwise.
        MissingExtra: a backbone is not installed.
    """
    texts = class_texts(vision)
    if expected not in (None, texts_hash(texts)):
        raise BadInput(
            "the installed timm names ImageNet's classes otherwise than the one that the head was trained with; "
            "install timm 1.0, or train the head again with `imagescope train photos`"
        )
    encode = text.encoder()
    return np.concatenate([encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)])

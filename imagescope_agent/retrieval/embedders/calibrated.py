"""The similarity of an assembled embedder, mended without training: the backbone's classes help, hubs are held back.

A text t and a picture v are as alike as

    cos(t, v) + classes * cos(sentence of t, mean name of v's classes) - hubs * (hub(v) - middle)

- The mean of the names of ImageNet's classes, weighted by their probability, places a picture among sentences without
  any training (ConSE; Norouzi et al., 2014, arXiv 1312.5650), so it holds for photos of another kind as well.
- hub(v) = log(mean over typical captions b of exp(sharpness * alike(b, v))) / sharpness says how near a picture is to
  whatever is asked; less of it is the inverted softmax (Smith et al., 2017, arXiv 1702.03859) with a bank of training
  captions (QB-Norm; Bogolin et al., 2022, arXiv 2112.12777). It depends on the picture alone, not on the collection.

All of it is one inner product of unit vectors, so that every store serves it:

    picture  [v, sqrt(classes) * c, -hubs * (hub - middle) / HUB_UNIT, what fills it up to one length] / length
    text     [t, sqrt(classes) * s, HUB_UNIT, 0] / length
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

HUB_UNIT = 0.25  # small, so that two texts, which share it, are hardly more alike for it
MOST = 0.5  # length of the hub's coordinate beside those of 1 of a picture; few reach it
CHUNK = 512  # pictures at a time: a row for each typical caption


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What mends the similarity.

    Args:
        names: (classes, text width) names of the backbone's classes, as sentence features.
        bank: (b, text width) typical captions, as sentence features.
        shares: (b,) how many captions each stands for; sums to 1.
        classes, hubs, sharpness: weights, see the top of the file.
        middle: of the hubs of training pictures.
    """

    names: Vectors
    bank: Vectors
    shares: Vectors
    classes: float
    hubs: float
    sharpness: float
    middle: float = 0.0

    @property
    def extra(self) -> int:
        """How many dimensions come on top of the head's."""
        return int(self.names.shape[1]) + 2

    def texts(self, heads: Vectors, sentences: Vectors) -> Vectors:
        """(n, d) and (n, text width), any length -> (n, d + extra), unit length."""
        constant = np.full((len(heads), 1), HUB_UNIT, np.float32)
        parts = [unit_rows(heads), self.classes**0.5 * unit_rows(sentences), constant, 0 * constant]
        return unit_rows(np.concatenate(parts, axis=1))

    def pictures(self, heads: Vectors, logits: Vectors, bank: Vectors) -> Vectors:
        """(n, d), any length, and (n, classes) -> (n, d + extra), unit length.

        Args:
            heads: of the pictures.
            logits: of the backbone's classifier.
            bank: (b, d) the bank as the head maps it.
        """
        own, named = unit_rows(heads), self._named(logits)
        shift = self.hubs * (self._hub(own, named, bank) - self.middle) / HUB_UNIT
        shift = np.clip(shift, -MOST, MOST)[:, None].astype(np.float32)
        return unit_rows(
            np.concatenate([own, self.classes**0.5 * named, -shift, np.sqrt(MOST**2 - shift**2)], axis=1)
        )

    def hubs_of(self, heads: Vectors, logits: Vectors, bank: Vectors) -> Vectors:
        """(n,) how near pictures are to whatever is asked; arguments as `pictures`."""
        return self._hub(unit_rows(heads), self._named(logits), bank)

    def _named(self, logits: Vectors) -> Vectors:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return unit_rows((odds / odds.sum(axis=1, keepdims=True)) @ unit_rows(self.names))

    def _hub(self, own: Vectors, named: Vectors, bank: Vectors) -> Vectors:
        heads, sentences = unit_rows(bank), unit_rows(self.bank)
        hubs = []
        for start in range(0, len(own), CHUNK):
            rows = slice(start, start + CHUNK)
            alike = own[rows] @ heads.T + self.classes * named[rows] @ sentences.T
            hubs.append(np.log(np.exp(self.sharpness * alike) @ self.shares) / self.sharpness)
        return np.concatenate(hubs).astype(np.float32) if hubs else np.zeros(0, np.float32)

    def tensors(self) -> dict[str, Vectors]:
        """What a head's file keeps of it: all but the names, which need no file (class_names.py)."""
        return {"bank": self.bank, "shares": self.shares}

    def table(self) -> dict[str, float]:
        """What a head's table keeps of it."""
        return {name: getattr(self, name) for name in ("classes", "hubs", "sharpness", "middle")}


def read_calibration(
    table: Mapping[str, Any], tensors: Mapping[str, Any], width: int, classes: int
) -> Calibration:
    """The calibration of a head's files.

    Args:
        table: as `Calibration.table`.
        tensors: torch tensors, as `Calibration.tensors`, and "names".
        width: of the sentence features.
        classes: of the backbone's classifier.

    Raises:
        BadInput: something is missing or of another shape.
    """
    try:
        found = {name: tensors[name].float().numpy() for name in ("names", "bank", "shares")}
        numbers = {name: float(table[name]) for name in ("classes", "hubs", "sharpness", "middle")}
        if found["names"].shape != (classes, width) or found["bank"].shape != (len(found["shares"]), width):
            raise ValueError
        shares = found["shares"]
        if (
            shares.ndim != 1 or (shares < 0).any() or not abs(float(shares.sum()) - 1) <= 0.01
        ):  # kept as halves
            raise ValueError
        if not all(np.isfinite(each).all() for each in found.values()):
            raise ValueError
        if not all(map(np.isfinite, numbers.values())) or numbers["classes"] < 0 or numbers["sharpness"] <= 0:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            "the calibration of a head is damaged; make one with `imagescope train photos`"
        ) from error
    values: dict[str, Any] = {**found, **numbers}
    return Calibration(**values)


class CalibratedEmbedder:
    """An embedder whose model gives, beside the head's vectors, what the calibration needs.

    Args:
        model: an open_clip model; its pictures are [head (d), logits (classes), 1], its texts [head (d), sentence
            (width), zeros], both brought to unit length. The last number of a picture gives the length back.
        calibration: what mends its vectors.
        bank: (b, d) the calibration's bank as the head maps it.
    """

    def __init__(self, model: OpenClipEmbedder, calibration: Calibration, bank: Vectors) -> None:
        self._model, self._calibration, self._bank = model, calibration, bank
        self.weights = model.weights
        self._head = int(bank.shape[1])
        self.dimension = self._head + calibration.extra

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """RGB pictures -> (n, d) float32, unit length; raises as `OpenClipEmbedder.images`."""
        given = self._model.images(images)
        given = given / given[:, -1:]
        return self._calibration.pictures(given[:, : self._head], given[:, self._head : -1], self._bank)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts -> (n, d) float32, unit length; raises as `OpenClipEmbedder.texts`."""
        given = self._model.texts(texts)
        width = self._calibration.names.shape[1]
        return self._calibration.texts(given[:, : self._head], given[:, self._head : self._head + width])

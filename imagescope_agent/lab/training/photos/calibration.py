"""Fits the calibration of a photo head (`retrieval.embedders.calibrated`): names of classes, and typical captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from imagescope_agent.lab.training.photos.features import Features
from imagescope_agent.lab.training.photos.head import Pairs
from imagescope_agent.lab.training.photos.merged import Maps
from imagescope_agent.retrieval.embedders.calibrated import Calibration
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

TYPICAL = 1080  # captions; 720 find less, 1440 no more, and the file of the head grows
ROUNDS = 15  # of k-means
#: The hub term was chosen on photos of Flickr8k that are held out; the weight of the classes' names with COCO's photos
#: in sight, where they help: Flickr8k alone prefers 0.
CLASSES, HUBS, SHARPNESS = 0.2, 0.5, 20.0


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A head and its calibration, which read features.

    Args:
        head: its maps.
        classifier: weight (classes, picture width) and bias (classes,) of the backbone.
        calibration: what mends its vectors.
    """

    head: Maps
    classifier: tuple[Any, Any]
    calibration: Calibration

    def pictures(self, features: Features) -> Vectors:
        """(n, picture width) -> (n, d), unit length."""
        return self.calibration.pictures(*self._read(features), self._texts(self.calibration.bank))

    def texts(self, features: Features) -> Vectors:
        """(n, text width) -> (n, d), unit length."""
        return self.calibration.texts(self._texts(features), features)

    def hubs(self, features: Features) -> Vectors:
        """(n, picture width) -> (n,) how near pictures are to whatever is asked."""
        return self.calibration.hubs_of(*self._read(features), self._texts(self.calibration.bank))

    def recall(self, pairs: Pairs) -> dict[str, float]:
        """R@1, R@5 and R@10 of the captions, every picture of the pairs being in the gallery."""
        return shares(self.texts(pairs.texts) @ self.pictures(pairs.pictures).T, pairs.owners)

    def _texts(self, features: Features) -> Vectors:
        with torch.inference_mode():
            found: Vectors = self.head.texts(torch.from_numpy(features)).numpy()
        return found

    def _read(self, features: Features) -> tuple[Vectors, Vectors]:
        weight, bias = self.classifier
        with torch.inference_mode():
            pictures = torch.from_numpy(features)
            heads, logits = self.head.pictures(pictures), pictures @ weight.float().T + bias.float()
        return heads.numpy(), logits.numpy()


def calibrate(
    head: Maps,
    pairs: Pairs,
    names: Features,
    classifier: tuple[Any, Any],
    further: Features | None = None,
) -> Calibrated:
    """The calibration of a trained head.

    Args:
        head: its maps.
        pairs: what it learned from; its captions are those that typical ones stand for.
        names: (classes, text width) names of the classes.
        classifier: as in `Calibrated`.
        further: (m, text width) captions of other pictures, for which half of the typical ones stand: what holds hubs
            back needs no pictures, and the pictures that are searched may be of more kinds than those learned from.
    """
    sources = [pairs.texts] if further is None else [pairs.texts, further]
    found = [typical(each, TYPICAL // len(sources)) for each in sources]
    bank = np.concatenate([rows for rows, _ in found])
    counts = np.concatenate([share / len(sources) for _, share in found])
    calibration = Calibration(
        names=names, bank=bank, shares=counts, classes=CLASSES, hubs=HUBS, sharpness=SHARPNESS
    )
    plain = Calibrated(head=head, classifier=classifier, calibration=calibration)
    middle = round(float(plain.hubs(pairs.pictures).mean()), 6)
    return replace(plain, calibration=replace(calibration, middle=middle))


def typical(texts: Features, count: int) -> tuple[Features, Features]:
    """(count, width) unit vectors that stand for many texts, by spherical k-means, and the share of texts of each."""
    import faiss

    rows = unit_rows(texts)
    count = min(count, len(rows))
    means = faiss.Kmeans(
        rows.shape[1], count, niter=ROUNDS, seed=1, spherical=True, min_points_per_centroid=1
    )
    means.train(rows)
    nearest = means.index.search(rows, 1)[1][:, 0]
    bank: Features = np.asarray(means.centroids, np.float32)
    return unit_rows(bank), (np.bincount(nearest, minlength=count) / len(rows)).astype(np.float32)


def shares(alike: Vectors, owners: Sequence[int]) -> dict[str, float]:
    """R@1, R@5 and R@10 of (texts, pictures) similarities."""
    right = alike[np.arange(len(alike)), np.asarray(owners)]
    ranks = (alike > right[:, None]).sum(axis=1)
    return {f"R@{k}": float((ranks < k).mean()) for k in (1, 5, 10)}

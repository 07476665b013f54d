"""Made-up vectors for `imagescope bench stores`.

They are made of 64 common directions of falling weight and of noise of half their length; a caption shares the
directions with its image in part, and queries are drawn as captions are. Independent numbers would have no
neighbourhoods, which no approximate index can find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.retrieval.protocols import CAPTION, IMAGE
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

CHUNK = 16_384  # vectors that are made at once
DIRECTIONS, NOISE = 64, 0.5
TAU = 0.15
SPACES = (IMAGE, CAPTION)


@dataclass(frozen=True)
class World:
    """Vectors on disk, queries, and the rows that are best for each, compared one by one."""

    ids: list[str]
    vectors: dict[str, Vectors]
    queries: Vectors
    best: Any


def made_up(
    place: Path, images: int, dimension: int, queries: int, k: int, rng: np.random.Generator
) -> World:
    """Draw the vectors of `images`, on disk in `place`, and the `k` best of them for each of so many `queries`."""
    draw = _drawer(dimension, rng)
    vectors = {
        name: np.lib.format.open_memmap(place / f"{name}.npy", "w+", np.float32, (images, dimension))
        for name in SPACES
    }
    for start in range(0, images, CHUNK):
        made = draw(min(CHUNK, images - start))
        for name, rows in zip(SPACES, made, strict=True):
            vectors[name][start : start + CHUNK] = rows
    asked = draw(queries)[1]
    scores = np.zeros((queries, 0), dtype=np.float32)
    rows = np.zeros((queries, 0), dtype=np.int64)
    for start in range(0, images, CHUNK):  # keeps the best so far
        parts = [vectors[name][start : start + CHUNK] for name in SPACES]
        new = (1 - TAU) * (asked @ parts[0].T) + TAU * (asked @ parts[1].T)
        scores = np.hstack([scores, new])
        rows = np.hstack([rows, np.tile(np.arange(start, start + new.shape[1]), (queries, 1))])
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, rows = np.take_along_axis(scores, kept, 1), np.take_along_axis(rows, kept, 1)
    return World([f"{number:08}.jpg" for number in range(images)], dict(vectors), asked, rows)


def _drawer(dimension: int, rng: np.random.Generator) -> Callable[[int], tuple[Vectors, Vectors]]:
    """Draws (images, captions), each (n, d), unit length."""
    count = min(DIRECTIONS, dimension // 2)
    weights = (1 / np.sqrt(1 + np.arange(count)))[:, None]
    basis = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    shown = (weights * basis[:count]).astype(np.float32)
    told = (0.7 * shown + 0.3 * weights * basis[count : 2 * count]).astype(np.float32)
    noise = np.float32(NOISE * np.sqrt((weights**2).sum() / dimension))

    def draw(size: int) -> tuple[Vectors, Vectors]:
        common = rng.standard_normal((size, count), dtype=np.float32)
        both = [
            common @ part + noise * rng.standard_normal((size, dimension), dtype=np.float32)
            for part in (shown, told)
        ]
        return unit_rows(both[0]), unit_rows(both[1])

    return draw


def chunks(rows: Vectors) -> Iterator[Vectors]:
    """Rows (n, d) in chunks."""
    for start in range(0, len(rows), CHUNK):
        yield np.asarray(rows[start : start + CHUNK])

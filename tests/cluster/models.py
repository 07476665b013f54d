"""An embedder for workers of a cluster: slow enough to be killed, its vectors depend on the whole batch."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.retrieval.crashes import Neighbourly

SECONDS = 0.4  # of a batch
TOGETHER = "TESTS_TOGETHER"  # so many processes must have begun before one goes on: each node has work
PATIENCE = 600.0  # seconds


def begin(log: Path, work: Sequence[str]) -> None:
    """Write down what a process is about to do, and wait for the others."""
    with log.open("a") as file:
        file.write("".join(f"{os.getpid()} {each}\n" for each in work))
    end = time.monotonic() + PATIENCE
    while len({line.split()[0] for line in log.read_text().splitlines() if line}) < int(
        os.environ.get(TOGETHER, "1")
    ):
        assert time.monotonic() < end, "the other node has not begun"
        time.sleep(0.05)


class Slow(Neighbourly):
    """Writes the number of its process into a file for each batch of pictures."""

    def __init__(self, log: str) -> None:
        self._log = Path(log)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        begin(self._log, ["batch"])
        time.sleep(SECONDS)
        return super().images(images)


class Plain:
    """Vectors of numbers drawn for each text or picture alone; writes down each text."""

    weights, dimension = "plain", 16

    def __init__(self, log: str) -> None:
        self._log = Path(log)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        return self._drawn([image.tobytes() for image in images])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        begin(self._log, texts)
        time.sleep(SECONDS / 4)
        return self._drawn([text.encode() for text in texts])

    def _drawn(self, contents: Sequence[bytes]) -> np.ndarray:
        rows = [np.random.default_rng(list(content[:999])).standard_normal(16) for content in contents]
        unit: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit


def open_plain(place: str, *, device: str | None = None) -> Any:
    return Plain(place)


def open_slow(place: str, *, device: str | None = None) -> Any:
    return Slow(place)

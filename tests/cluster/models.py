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


class Slow(Neighbourly):
    """Writes the number of its process into a file for each batch of pictures."""

    def __init__(self, log: str) -> None:
        self._log = Path(log)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        with self._log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(SECONDS)
        return super().images(images)


def open_slow(place: str, *, device: str | None = None) -> Any:
    return Slow(place)

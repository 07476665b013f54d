"""Run by test_crashes.py: index a folder in forked children that die, and compare what the next run makes.

    python -m tests.retrieval.crashes kill FOLDER OUT SEED COUNT    SIGKILL at COUNT random moments
    python -m tests.retrieval.crashes points FOLDER OUT             die just before each sync, rename, commit in turn

Each time the next run must publish the same bytes as an undisturbed one. Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.index_cache import JOURNAL, IndexCache
from imagescope_agent.retrieval.indexer import build
from tests.crashes import child, ended, killed, undisturbed

BATCH = 16


class Neighbourly:
    """Vectors that depend on the whole batch, as rounding makes them with a real model, only more so."""

    weights = "neighbourly"
    dimension = 48

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        return self._unit([np.asarray(image.convert("L").resize((8, 6))).ravel() for image in images])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return self._unit([np.frombuffer(text.encode()[:48].ljust(48, b"-"), np.uint8) for text in texts])

    def _unit(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        matrix = np.asarray(rows, dtype=np.float64)
        matrix += matrix.mean(axis=0) + len(matrix)
        unit: np.ndarray = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
        return unit


def run(folder: Path, out: Path) -> None:
    captioner = Role("captioner", Scripted(lambda asked: f"a picture called {asked.images[0]}"))
    asyncio.run(build(folder, out, Neighbourly(), captioner, "?", captioner_weights="script", batch=BATCH))


def published(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(JOURNAL)}


def kill(folder: Path, base: Path, seed: int, count: int) -> dict[str, Any]:
    seconds = undisturbed(partial(run, folder, base / "whole"))
    whole = published(base / "whole")
    moments, kills, resumed, tries = random.Random(seed), 0, 0, 0
    while kills < count and tries < 3 * count:
        tries += 1
        out = base / f"out{tries}"
        if not killed(partial(run, folder, out), moments.uniform(0, seconds)):
            continue
        kills += 1
        resumed += (out / JOURNAL).exists()
        undisturbed(partial(run, folder, out))
        assert published(out) == whole, f"try {tries} of seed {seed}"
    return {"killed": kills, "resumed": resumed, "seconds": seconds, "files": sorted(whole)}


def points(folder: Path, base: Path) -> dict[str, Any]:
    undisturbed(partial(run, folder, base / "whole"))
    whole, point = published(base / "whole"), 0
    while True:
        out = base / f"out{point}"
        code = ended(child(partial(dying, folder, out, point)))
        if code == 0:
            break
        assert code == 9, code
        undisturbed(partial(run, folder, out))
        assert published(out) == whole, f"point {point}"
        point += 1
    assert published(out) == whole
    return {"points": point}


def dying(folder: Path, out: Path, point: int) -> None:
    left = [point]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return function(*args, **kwargs)

        return call

    for owner, name in [
        (os, "fsync"),
        (os, "replace"),
        (Path, "unlink"),
        (IndexCache, "adopt"),
        (IndexCache, "record"),
        (IndexCache, "keep_only"),
    ]:
        setattr(owner, name, counted(getattr(owner, name)))
    run(folder, out)


if __name__ == "__main__":
    mode, folder, base = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    result = kill(folder, base, *map(int, sys.argv[4:])) if mode == "kill" else points(folder, base)
    json.dump(result, sys.stdout)

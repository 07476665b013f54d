"""Run by test_crashes.py: index a folder in forked children that die, and compare what the next run makes.

    python -m tests.retrieval.crashes kill FOLDER OUT SEED COUNT    SIGKILL at COUNT random moments
    python -m tests.retrieval.crashes points FOLDER OUT             die just before each sync, rename, commit in turn
    python -m tests.retrieval.crashes space FOLDER OUT              the same while a vector space is added

Each time the next run must publish the same bytes as an undisturbed one. Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.index.cache import JOURNAL, IndexCache
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.manifest import MANIFEST
from imagescope_agent.retrieval.spaces import add_space
from tests.crashes import Moments, child, ended, undisturbed

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
    moments, kills, resumed, tries = Moments(seed, seconds), 0, 0, 0
    while (kills < count or resumed < count // 2) and tries < 10 * count:
        tries += 1
        out = base / f"out{tries}"
        if not moments.kill(partial(run, folder, out)):
            continue
        kills += 1
        if (out / JOURNAL).exists():
            resumed += 1
        else:
            moments.later()
        undisturbed(partial(run, folder, out))
        assert published(out) == whole, f"try {tries} of seed {seed}"
    return {"killed": kills, "resumed": resumed, "seconds": seconds, "files": sorted(whole)}


def points(folder: Path, base: Path) -> dict[str, Any]:
    undisturbed(partial(run, folder, base / "whole"))
    whole, point = published(base / "whole"), 0
    while True:
        out = base / f"out{point}"
        code = ended(child(partial(dying, partial(run, folder, out), point)))
        if code == 0:
            break
        assert code == 9, code
        undisturbed(partial(run, folder, out))
        assert published(out) == whole, f"point {point}"
        point += 1
    assert published(out) == whole
    return {"points": point}


def space(folder: Path, base: Path) -> dict[str, Any]:
    """Replace a space, dying at each point: a reader finds the space before or the new one, and all of it."""
    start, point, seen = base / "start", 0, set[str]()
    undisturbed(partial(run, folder, start))
    undisturbed(partial(add, start, "captions"))
    shutil.copytree(start, base / "whole")
    undisturbed(partial(add, base / "whole", "images"))
    contents = {"before": published(start), "after": published(base / "whole")}
    code = 9
    while code == 9:
        out = shutil.copytree(start, base / f"out{point}")
        code = ended(child(partial(dying, partial(add, out, "images"), point)))
        found = published(out)
        (now,) = [name for name, each in contents.items() if each[MANIFEST] == found[MANIFEST]]
        assert contents[now].items() <= found.items(), f"point {point}"
        seen.add(now)
        undisturbed(partial(add, out, "images"))
        assert published(out) == contents["after"], f"point {point}"
        point += 1
    assert code == 0 and found == contents["after"]
    return {"points": point, "seen": sorted(seen)}


def add(out: Path, of: Literal["images", "captions"]) -> None:
    add_space(out, "further", Neighbourly(), of, batch=BATCH)


def dying(work: Callable[[], None], point: int) -> None:
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
    work()


if __name__ == "__main__":
    mode, folder, base = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    modes: dict[str, Callable[..., dict[str, Any]]] = {"kill": kill, "points": points, "space": space}
    result = modes[mode](folder, base, *map(int, sys.argv[4:]))
    json.dump(result, sys.stdout)

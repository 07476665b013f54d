"""Run by test_crashes.py: index a folder in forked children that die, and compare what the next run makes.

    python crashes.py kill FOLDER OUT SEED COUNT    SIGKILL at COUNT random moments
    python crashes.py points FOLDER OUT             die just before each sync, rename, commit in turn

Each time the next run must publish the same bytes as an undisturbed one. Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.collection.build import build
from imagescope_agent.collection.journal import JOURNAL, Journal
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted

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


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:  # a child never goes on into the loop of its parent
            traceback.print_exc()
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def published(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(JOURNAL)}


def undisturbed(folder: Path, out: Path) -> tuple[dict[str, bytes], float]:
    start = time.monotonic()
    assert ended(child(partial(run, folder, out))) == 0
    return published(out), time.monotonic() - start


def kill(folder: Path, base: Path, seed: int, count: int) -> dict[str, Any]:
    whole, seconds = undisturbed(folder, base / "whole")
    moments, killed, resumed, tries = random.Random(seed), 0, 0, 0
    while killed < count and tries < 3 * count:
        tries += 1
        out = base / f"out{tries}"
        pid = child(partial(run, folder, out))
        time.sleep(moments.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        if ended(pid) != -signal.SIGKILL:
            continue  # it was done before
        killed += 1
        resumed += (out / JOURNAL).exists()
        assert ended(child(partial(run, folder, out))) == 0
        assert published(out) == whole, f"try {tries} of seed {seed}"
    return {"killed": killed, "resumed": resumed, "seconds": seconds, "files": sorted(whole)}


def points(folder: Path, base: Path) -> dict[str, Any]:
    whole, _ = undisturbed(folder, base / "whole")
    point = 0
    while True:
        out = base / f"out{point}"
        code = ended(child(partial(dying, folder, out, point)))
        if code == 0:
            break
        assert code == 9, code
        assert ended(child(partial(run, folder, out))) == 0
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
        (Journal, "adopt"),
        (Journal, "record"),
        (Journal, "keep_only"),
    ]:
        setattr(owner, name, counted(getattr(owner, name)))
    run(folder, out)


if __name__ == "__main__":
    mode, folder, base = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    result = kill(folder, base, *map(int, sys.argv[4:])) if mode == "kill" else points(folder, base)
    json.dump(result, sys.stdout)

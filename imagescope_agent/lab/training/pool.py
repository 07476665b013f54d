"""Pictures drawn once and kept on disk, so that training never waits for the painter.

A shard is `images.npy` (n, 128, 128, 3) uint8 beside `scenes.jsonl`, one scene a line. Everything that is asked of
a picture during training is made up afresh from its scene graph; only the pixels are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from imagescope_agent.atomic_write import write_atomic
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene

SIDE = 128  # pixels: what the mini models see
_CHUNK = 500


def scene_to_dict(scene: Scene) -> dict[str, object]:
    """A scene as plain values for a JSON line."""
    return asdict(scene)


def scene_from_dict(data: dict[str, object]) -> Scene:
    """The scene that `scene_to_dict` wrote."""
    things = tuple(Thing(**thing) for thing in data["things"])  # type: ignore[attr-defined]
    return Scene(things=things, setting=str(data["setting"]), variant=int(data["variant"]))  # type: ignore[call-overload]


def small_picture(scene: Scene) -> np.ndarray:
    """Pixels of a scene as the mini models see them: (128, 128, 3) uint8."""
    return np.array(draw(scene).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def single_scenes(seed: int) -> list[list[Scene]]:
    """One chunk of unrelated scenes, each a group of its own."""
    rng = Random(seed)
    return [[random_scene(rng)] for _ in range(_CHUNK)]


def make_shard(folder: Path, groups: Callable[[int], list[list[Scene]]], *, seeds: Sequence[int]) -> None:
    """Draw the groups of `seeds` into `folder`; a finished shard is left as it is."""
    if (folder / "scenes.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as workers:
        jobs = [workers.submit(_draw_chunk, groups, seed) for seed in seeds]
        parts = [
            job.result() for job in tqdm(jobs, desc=f"drawing {folder.name}", unit="chunk", disable=None)
        ]
    np.save(folder / "images.npy", np.concatenate([pixels for pixels, _ in parts]))
    lines = "\n".join(line for _, part in parts for line in part)
    write_atomic(folder / "scenes.jsonl", lines + "\n")


def _draw_chunk(groups: Callable[[int], list[list[Scene]]], seed: int) -> tuple[np.ndarray, list[str]]:
    pixels, lines = [], []
    for number, group in enumerate(groups(seed)):
        for scene in group:
            pixels.append(small_picture(scene))
            lines.append(json.dumps({"group": f"{seed}-{number}", **scene_to_dict(scene)}))
    return np.stack(pixels), lines


def open_shard(folder: Path) -> tuple[np.ndarray, list[Scene]]:
    """Pixels (n, 128, 128, 3) uint8, memory-mapped, and the n scenes behind them."""
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    with (folder / "scenes.jsonl").open(encoding="utf-8") as lines:
        scenes = [scene_from_dict(json.loads(line)) for line in lines]
    return pixels, scenes


class Pool:
    """Pictures of several shards, numbered through."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = shards
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])

    def take(self, numbers: np.ndarray) -> torch.Tensor:
        """Pixels (n, 128, 128, 3) uint8 of the pictures with these numbers."""
        shard = np.searchsorted(self._starts, numbers, side="right") - 1
        places = zip(shard, numbers - self._starts[shard], strict=True)
        return torch.from_numpy(np.stack([self._shards[one][place] for one, place in places]))

"""Rendered training images on disk: shards of unrelated scenes and of composed-query groups.

A shard is `images.npy` (n, 128, 128, 3) uint8 beside `scenes.jsonl`, one scene a line. Questions and queries about an
image are sampled from its scene graph in every training step; only the pixels are stored.
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

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.lab.training.image_grid import IMAGE_SIDE

QUERIES_PER_GROUP = 3
IMAGES_PER_GROUP = 1 + 2 * QUERIES_PER_GROUP
_SCENES_PER_CHUNK = 500
_GROUPS_PER_CHUNK = 70

ComposedGroup = tuple[list[Scene], list[SceneQuery]]


def small_image(scene: Scene) -> np.ndarray:
    """Pixels of a scene at the mini models' resolution: (128, 128, 3) uint8."""
    return np.array(draw(scene).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC))


def single_scenes(seed: int) -> list[list[Scene]]:
    """One chunk of unrelated scenes, each in a list of its own."""
    rng = Random(seed)
    return [[random_scene(rng)] for _ in range(_SCENES_PER_CHUNK)]


def composed_groups(seed: int) -> list[ComposedGroup]:
    """One chunk of groups, see `composed_group`; the seed determines scenes and queries, so queries are not stored."""
    rng = Random(f"family {seed}")
    groups: list[ComposedGroup] = []
    while len(groups) < _GROUPS_PER_CHUNK:
        group = composed_group(rng, rng.sample(COMPOSED_KINDS, QUERIES_PER_GROUP))
        if group is not None:
            groups.append(group)
    return groups


def composed_group_scenes(seed: int) -> list[list[Scene]]:
    """The scenes of `composed_groups(seed)`, a list per group."""
    return [scenes for scenes, _ in composed_groups(seed)]


def make_shard(folder: Path, groups: Callable[[int], list[list[Scene]]], *, seeds: Sequence[int]) -> None:
    """Render the groups of all seeds into `folder`; a finished shard is kept."""
    if (folder / "scenes.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as workers:
        jobs = [workers.submit(_render_chunk, groups, seed) for seed in seeds]
        parts = [
            job.result() for job in tqdm(jobs, desc=f"drawing {folder.name}", unit="chunk", disable=None)
        ]
    np.save(folder / "images.npy", np.concatenate([pixels for pixels, _ in parts]))
    lines = "\n".join(line for _, part in parts for line in part)
    write_atomic(folder / "scenes.jsonl", lines + "\n")


def _render_chunk(groups: Callable[[int], list[list[Scene]]], seed: int) -> tuple[np.ndarray, list[str]]:
    pixels, lines = [], []
    for number, group in enumerate(groups(seed)):
        for scene in group:
            pixels.append(small_image(scene))
            lines.append(json.dumps({"group": f"{seed}-{number}", **asdict(scene)}))
    return np.stack(pixels), lines


def open_shard(folder: Path) -> tuple[np.ndarray, list[Scene]]:
    """Pixels (n, 128, 128, 3) uint8, memory-mapped, and the n scenes they show."""
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    with (folder / "scenes.jsonl").open(encoding="utf-8") as lines:
        return pixels, [_parse_scene(line) for line in lines]


def _parse_scene(line: str) -> Scene:
    values = json.loads(line)
    things = tuple(Thing(**thing) for thing in values["things"])
    return Scene(things=things, setting=values["setting"], variant=values["variant"])


class ImagePool:
    """The images of several shards, numbered consecutively."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = shards
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])

    def take(self, numbers: np.ndarray) -> torch.Tensor:
        """Pixels (n, 128, 128, 3) uint8 of the images with these numbers."""
        shard = np.searchsorted(self._starts, numbers, side="right") - 1
        places = zip(shard, numbers - self._starts[shard], strict=True)
        return torch.from_numpy(np.stack([self._shards[one][place] for one, place in places]))

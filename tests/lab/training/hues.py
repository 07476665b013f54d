"""A collection of one-coloured pictures around the colour wheel, and a toy embedder of hues: composing is turning."""

from __future__ import annotations

import asyncio
import colorsys
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.training_data.triplet_files import Triplet

COUNT = 72
TURNS = (30, 90, 150, 210)


class Hues:
    """Pictures by their hue, texts "turn N" by the angle they name; neither holds the other."""

    weights, dimension = "hues-1", 12

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        pixels = [np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0) / 255 for image in images]
        return self._waves([colorsys.rgb_to_hsv(*pixel)[0] * 2 * np.pi for pixel in pixels], 0)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        angles = [int((re.findall(r"\d+", text) or ["0"])[0]) for text in texts]
        return self._waves([np.deg2rad(angle) for angle in angles], 6)

    def _waves(self, angles: Sequence[float], first: int) -> np.ndarray:
        rows = np.zeros((len(angles), self.dimension), np.float32)
        for row, angle in zip(rows, angles, strict=True):
            row[first : first + 6] = [f(k * angle) for k in (1, 2, 3) for f in (np.cos, np.sin)]
        unit: np.ndarray = (rows / np.sqrt(3)).astype(np.float32)
        return unit


def open_hues(place: str, *, device: str | None = None) -> Hues:
    """As a package would that brings an embedder of its own."""
    return Hues()


def hues(folder: Path, embedder: Any = None, count: int = COUNT) -> FolderCollection:
    """The pictures 000.png and so on in order of their hues, indexed."""
    folder.mkdir(parents=True)
    for number in range(count):
        colour = [round(255 * each) for each in colorsys.hsv_to_rgb(number / count, 1, 1)]
        Image.new("RGB", (24, 24), tuple(colour)).save(folder / f"{number:03d}.png")
    captioner = Role("captioner", Scripted("a colour"))
    made = build(folder, None, embedder or Hues(), captioner, "describe", captioner_weights="scripted")
    asyncio.run(made)
    return FolderCollection.open(folder)


def turns(count: int = COUNT) -> list[Triplet]:
    """Every picture turned by every angle, in random order, two pictures beside the target as distractors."""
    found = [
        Triplet(
            reference=f"{number:03d}.png",
            text=f"turn {angle}",
            target=f"{target:03d}.png",
            distractors=(f"{(target + 1) % count:03d}.png", f"{(target - 1) % count:03d}.png"),
        )
        for number in range(count)
        for angle in TURNS
        for target in [(number + angle * count // 360) % count]
    ]
    Random(0).shuffle(found)
    return found

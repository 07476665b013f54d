"""The pictures and turns of every training step of the mini chat model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from imagescope_agent.scenes.world import Scene
from imagescope_agent.training.examples import (
    Branch,
    caption_branch,
    judge_branch,
    reading_branches,
    search_branches,
    verdict_branches,
)
from imagescope_agent.training.families import KINDS_A_FAMILY, SCENES_A_FAMILY, families
from imagescope_agent.training.pool import SIDE, open_shard
from imagescope_agent.training.talking import talk_branches


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how much: rows of each sort in a step, learning rates, and how often to save.

    The vision tower rests for the first `thaw` steps (it has learnt to see in stage one, and the language model has
    everything to learn), then follows at `vision_share` of the rate.
    """

    steps: int
    scenes: int = 6
    questions: int = 12
    pairs: int = 4
    texts: int = 28
    talks: int = 8
    peak: float = 1e-3
    thaw: int = 1500
    vision_share: float = 0.3
    warmup: int = 60
    save_every: int = 100
    seed: int = 0


class Material:
    """The pictures of the pool and the turns made up about them; step `n` always gets the same ones."""

    def __init__(self, pool: Path, plan: Plan, family_seeds: range) -> None:
        self.plan = plan
        self.pixels, self.scenes = open_shard(pool / "singles")
        self.family_pixels, _ = open_shard(pool / "families")
        self.families = [one for seed in family_seeds for one in families(seed)]
        self.blank = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)

    def singles(self, rng: Random) -> tuple[np.ndarray, list[tuple[int, list[Branch]]]]:
        """Single pictures: a caption and many questions each; a quarter of them from families."""
        pixels, rows = [], []
        for _ in range(self.plan.scenes):
            scene, picture = self._any(rng)
            pixels.append(picture)
            rows.append((1, [caption_branch(scene), *verdict_branches(scene, rng, self.plan.questions)]))
        return np.stack(pixels), rows

    def _any(self, rng: Random) -> tuple[Scene, np.ndarray]:
        if rng.random() < 0.75:
            index = rng.randrange(len(self.scenes))
            return self.scenes[index], self.pixels[index]
        family, member = rng.randrange(len(self.families)), rng.randrange(SCENES_A_FAMILY)
        return self.families[family][0][member], self.family_pixels[family * SCENES_A_FAMILY + member]

    def pairs(self, rng: Random) -> tuple[np.ndarray, list[tuple[int, list[Branch]]]]:
        """Two pictures and a request: composed (reference first) and plain (a blank first) in turn."""
        pixels, rows = [], []
        for number in range(self.plan.pairs):
            if number % 2:
                scene, picture = self._any(rng)
                pixels += [self.blank, picture]
                rows.append((2, search_branches(scene, rng)))
            else:
                family = rng.randrange(len(self.families))
                scenes, queries = self.families[family]
                change = rng.randrange(KINDS_A_FAMILY)
                member = 1 + 2 * change + (rng.random() < 0.4)
                first = family * SCENES_A_FAMILY
                pixels += [self.family_pixels[first], self.family_pixels[first + member]]
                other = queries[(change + 1) % KINDS_A_FAMILY]
                asked = [queries[change]] if rng.random() < 0.6 else [queries[change], other]
                rows.append((2, [judge_branch(query, scenes[member]) for query in asked]))
        return np.stack(pixels), rows

    def texts(self, rng: Random) -> list[tuple[int, list[Branch]]]:
        """Nothing to see: requests to be understood, steps to be turned into questions, turns of conversations."""
        read = [(0, reading_branches(rng)) for _ in range(self.plan.texts)]
        return read + [(0, talk_branches(rng)) for _ in range(self.plan.talks)]

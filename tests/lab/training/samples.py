"""Small samples of training data for tests: a scene, an image pool, the data mixture over it, hard candidates."""

from __future__ import annotations

from pathlib import Path
from random import Random

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.lab.training.data.image_pool import (
    composed_group_scenes,
    composed_groups,
    single_scenes,
)
from imagescope_agent.lab.training.data.mixture import DataMixture, TrainingPlan

HOUSE = Thing(kind="house", colour="red", size="large", x=0.2, y=0.7, diameter=0.35)
BOAT = Thing(kind="boat", colour="blue", size="small", x=0.8, y=0.3, diameter=0.2)
SCENE = Scene(things=(HOUSE, BOAT), setting="beach")


def few_single_scenes(seed: int) -> list[list[Scene]]:
    return single_scenes(seed)[:40]


def few_group_scenes(seed: int) -> list[list[Scene]]:
    return composed_group_scenes(seed)[:6]


class SmallMixture(DataMixture):
    """The data mixture over a small pool."""

    def __init__(self, pool: Path, plan: TrainingPlan) -> None:
        super().__init__(pool, plan, range(0))
        self.groups = composed_groups(2)[:6]


def hard_candidates(seed: int) -> tuple[Random, list[Scene], SceneQuery]:
    """Candidates that are hard to tell apart and a query that one of them answers, composed for odd seeds."""
    rng = Random(seed)
    made = None
    while made is None:
        made = composed_group(rng, rng.sample(COMPOSED_KINDS, 3))
    scenes, queries = made
    return rng, scenes[1:], queries[0] if seed % 2 else any_query(scenes[1], rng)

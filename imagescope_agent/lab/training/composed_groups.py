"""Families for training: a reference, targets of changes to it, near misses, and the queries between them."""

from __future__ import annotations

from random import Random

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, family
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.world import Scene

KINDS_A_FAMILY = 3
SCENES_A_FAMILY = 1 + 2 * KINDS_A_FAMILY
_FAMILIES_A_CHUNK = 70


def families(seed: int) -> list[tuple[list[Scene], list[Query]]]:
    """One chunk of families; the seed determines scenes and queries, so only the pixels need a disk."""
    rng = Random(f"family {seed}")
    made: list[tuple[list[Scene], list[Query]]] = []
    while len(made) < _FAMILIES_A_CHUNK:
        one = family(rng, rng.sample(COMPOSED_KINDS, KINDS_A_FAMILY))
        if one is not None:
            made.append(one)
    return made


def family_scenes(seed: int) -> list[list[Scene]]:
    """The scenes of `families(seed)`, a group a family, as `pool.make_shard` draws them."""
    return [scenes for scenes, _ in families(seed)]

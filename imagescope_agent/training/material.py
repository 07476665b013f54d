"""The pictures and turns of every training step of the mini chat model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from imagescope_agent.scenes.mixed_queries import any_query
from imagescope_agent.scenes.queries import Query
from imagescope_agent.scenes.world import Scene
from imagescope_agent.training.comparing import grade_branch, lettered, numbered, target_branch
from imagescope_agent.training.examples import (
    Branch,
    Pictures,
    caption_branch,
    judge_branch,
    predicates_branch,
    reading,
    search_branches,
    understand_branch,
    verdict_branches,
)
from imagescope_agent.training.families import KINDS_A_FAMILY, SCENES_A_FAMILY, families
from imagescope_agent.training.packing import Turns
from imagescope_agent.training.pool import SIDE, open_shard
from imagescope_agent.training.talking import ask_branch, fold_branch, propose_branch

NONE = Pictures()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how much: rows of each sort in a step, learning rates, and how often to save.

    The vision tower rests for the first `thaw` steps (it has learnt to see in stage one, and the language model has
    everything to learn), then follows at `vision_share` of the rate. `compared` is about how many candidates a step
    shows of either sort, under letters and under numbers.
    """

    steps: int
    scenes: int = 6
    questions: int = 12
    pairs: int = 4
    texts: int = 28
    talks: int = 6
    compared: int = 16
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

    def batches(self, rng: Random) -> Iterator[tuple[np.ndarray | None, list[Turns], float]]:
        """The batches of a step: pictures, rows, and what share of their kinds' weight they have."""
        for make in (self.singles, self.pairs, self.lettered, self.numbered):
            pixels, rows = make(rng)
            yield pixels, rows, 1.0
        read = [reading(rng) for _ in range(self.plan.texts)]
        yield None, [(NONE, [understand_branch(*each)]) for each in read], 0.75
        yield None, [(NONE, [predicates_branch(query)]) for query, _ in read[::2]], 0.25
        talks = range(self.plan.talks)
        yield None, [(NONE, [fold_branch(rng), self._short(rng)]) for _ in talks], 0.75
        yield None, [(NONE, [propose_branch(rng)]) for _ in talks[::2]], 0.25

    def _short(self, rng: Random) -> Branch:
        """A question worded, or a target described."""
        while rng.random() < 0.6:
            query, reference = reading(rng)
            if reference is not None:
                return target_branch(query, reference)
        return ask_branch(rng)

    def singles(self, rng: Random) -> tuple[np.ndarray, list[Turns]]:
        """Single pictures: a caption and many questions each; a quarter of them from families."""
        pixels: list[np.ndarray] = []
        rows: list[Turns] = []
        for _ in range(self.plan.scenes):
            scene, picture = self._any(rng)
            pixels.append(picture)
            rows.append(
                (
                    Pictures.plain(1),
                    [caption_branch(scene), *verdict_branches(scene, rng, self.plan.questions)],
                )
            )
        return np.stack(pixels), rows

    def _any(self, rng: Random) -> tuple[Scene, np.ndarray]:
        if rng.random() < 0.75:
            index = rng.randrange(len(self.scenes))
            return self.scenes[index], self.pixels[index]
        family, member = rng.randrange(len(self.families)), rng.randrange(SCENES_A_FAMILY)
        return self.families[family][0][member], self.family_pixels[family * SCENES_A_FAMILY + member]

    def pairs(self, rng: Random) -> tuple[np.ndarray, list[Turns]]:
        """Two pictures and a request: composed (reference first) and plain (a blank first) in turn."""
        pixels: list[np.ndarray] = []
        rows: list[Turns] = []
        for number in range(self.plan.pairs):
            if number % 2:
                scene, picture = self._any(rng)
                pixels += [self.blank, picture]
                rows.append((Pictures.plain(2), search_branches(scene, rng)))
            else:
                family = rng.randrange(len(self.families))
                scenes, queries = self.families[family]
                change = rng.randrange(KINDS_A_FAMILY)
                member = 1 + 2 * change + (rng.random() < 0.4)
                first = family * SCENES_A_FAMILY
                pixels += [self.family_pixels[first], self.family_pixels[first + member]]
                other = queries[(change + 1) % KINDS_A_FAMILY]
                asked = [queries[change]] if rng.random() < 0.6 else [queries[change], other]
                judged = [judge_branch(query, scenes[member]) for query in asked]
                rows.append((Pictures.plain(2), [*judged, grade_branch(queries[change], scenes[member])]))
        return np.stack(pixels), rows

    def lettered(self, rng: Random) -> tuple[np.ndarray, list[Turns]]:
        """Several candidates under letters, and a request of which one is the best."""
        pixels: list[np.ndarray] = []
        rows: list[Turns] = []
        count = rng.choice((2, 2, 3, 4, 4, 5, 8))
        while len(rows) < max(1, self.plan.compared // count):
            first, shown, query, _ = self._compared(rng, count)
            pictures, order, branches = lettered(query, [scene for scene, _ in shown], rng)
            if branches:
                pixels += [first, *(shown[place][1] for place in order)]
                rows.append((pictures, branches))
        return np.stack(pixels), rows

    def numbered(self, rng: Random) -> tuple[np.ndarray, list[Turns]]:
        """Several candidates under numbers, to be put in order, graded, and checked part by part."""
        pixels: list[np.ndarray] = []
        rows: list[Turns] = []
        count = rng.choice((3, 4, 5, 6, 8, 10, 10))
        while len(rows) < max(1, self.plan.compared // count):
            first, shown, query, composed = self._compared(rng, count)
            scenes = [scene for scene, _ in shown]
            rows.append(numbered(query, scenes, apart=rng.random() < 0.5, composed=composed))
            pixels += [first, *(picture for _, picture in shown)]
        return np.stack(pixels), rows

    def _compared(
        self, rng: Random, count: int
    ) -> tuple[np.ndarray, list[tuple[Scene, np.ndarray]], Query, bool]:
        """A reference (blank for text), candidates that are easily confused, a request, and whether it is composed."""
        family = rng.randrange(len(self.families))
        scenes, changes = self.families[family]
        base = family * SCENES_A_FAMILY
        composed = rng.random() < 0.5
        members = range(1 if composed else 0, SCENES_A_FAMILY)
        chosen = rng.sample(members, min(count, len(members), rng.randint(2, len(members))))
        shown = [(scenes[member], self.family_pixels[base + member]) for member in chosen]
        while len(shown) < count:
            shown.append(self._any(rng))
        rng.shuffle(shown)
        if composed:
            return self.family_pixels[base], shown, rng.choice(changes), True
        return self.blank, shown, any_query(rng.choice(shown)[0], rng), False

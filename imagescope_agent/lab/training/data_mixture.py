"""The pictures and turns of every training step of the mini chat model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.batch import Packed
from imagescope_agent.lab.training.comparing import grade_branch, lettered, numbered, patterns, target_branch
from imagescope_agent.lab.training.composed_groups import KINDS_A_FAMILY, SCENES_A_FAMILY, families
from imagescope_agent.lab.training.examples import (
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
from imagescope_agent.lab.training.packing import Packer, Turns
from imagescope_agent.lab.training.pool import SIDE, Pool, open_shard
from imagescope_agent.lab.training.talking import ask_branch, fold_branch, propose_branch

NONE = Pictures()
SORTS = (
    "scenes",
    "pairs",
    "texts",
    "talks",
    "proposals",
    "compared",
)  # of rows in a step, see `Plan`


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how much: rows of each sort in a step, learning rates, and how often to save.

    The vision tower rests for the first `thaw` steps (it has learnt to see in stage one, and the language model has
    everything to learn), then follows at `vision_share` of the rate. `compared` is about how many candidates a step
    shows of either sort, under letters and under numbers. Without `heads`, which begin as nothing and would shake
    for some hundred steps what is learnt already, only answers and gazes teach.
    """

    steps: int
    scenes: int = 6
    questions: int = 12
    pairs: int = 4
    texts: int = 28
    talks: int = 8
    proposals: int = 4
    compared: int = 16
    peak: float = 1e-3
    thaw: int = 1500
    vision_share: float = 0.3
    warmup: int = 60
    heads: bool = True
    save_every: int = 100
    seed: int = 0

    def larger(self, times: int) -> Plan:
        """The same with so many times as many rows in every step."""
        return replace(self, **{name: getattr(self, name) * times for name in SORTS})


class Material:
    """The pictures of the pool and the turns made up about them; step `n` always gets the same ones."""

    def __init__(self, pool: Path, plan: Plan, family_seeds: range) -> None:
        self.plan = plan
        singles, self.scenes = open_shard(pool / "singles")
        members, _ = open_shard(pool / "families")
        self.pool = Pool([singles, members, np.full((1, SIDE, SIDE, 3), 255, dtype=np.uint8)])
        self._first, self._blank = len(singles), len(singles) + len(members)
        with ProcessPoolExecutor() as workers:
            self.families = [one for chunk in workers.map(families, family_seeds) for one in chunk]
        self._looks: dict[
            tuple[str, str], list[int]
        ] = {}  # numbers of the single pictures that show such a thing
        for number, scene in enumerate(self.scenes):
            for look in {(thing.kind, thing.colour) for thing in scene.things}:
                self._looks.setdefault(look, []).append(number)

    def step(self, number: int, packer: Packer) -> Iterator[Packed]:
        """The packed batches of a step."""
        rng = Random(f"{self.plan.seed}-{number}")
        for pictures, rows, share in self.batches(rng):
            yield packer.pack(rows, pictures, share)

    def batches(self, rng: Random) -> Iterator[tuple[list[int], list[Turns], float]]:
        """The batches of a step: numbers of the pictures, rows, and what share of their kinds' weight they have."""
        for make in (self.singles, self.pairs, self.lettered, self.numbered):
            pictures, rows = make(rng)
            yield pictures, rows, 1.0
        read = [reading(rng) for _ in range(self.plan.texts)]
        yield [], [(NONE, [understand_branch(*each)]) for each in read], 0.75
        yield [], [(NONE, [predicates_branch(query)]) for query, _ in read[::2]], 0.25
        turns: list[Turns] = [(NONE, [fold_branch(rng), self._short(rng)]) for _ in range(self.plan.talks)]
        yield [], turns, 0.75
        yield [], [(NONE, [propose_branch(rng)]) for _ in range(self.plan.proposals)], 0.25

    def _short(self, rng: Random) -> Branch:
        """A question worded, or a target described."""
        while rng.random() < 0.6:
            query, reference = reading(rng)
            if reference is not None:
                return target_branch(query, reference)
        return ask_branch(rng)

    def singles(self, rng: Random) -> tuple[list[int], list[Turns]]:
        """Single pictures: a caption and many questions each; a quarter of them from families."""
        pictures: list[int] = []
        rows: list[Turns] = []
        for _ in range(self.plan.scenes):
            scene, picture = self._any(rng)
            pictures.append(picture)
            turns = [caption_branch(scene), *verdict_branches(scene, rng, self.plan.questions)]
            rows.append((Pictures.plain(1), turns))
        return pictures, rows

    def _any(self, rng: Random) -> tuple[Scene, int]:
        if rng.random() < 0.75:
            number = rng.randrange(len(self.scenes))
            return self.scenes[number], number
        return self._member(rng.randrange(len(self.families)), rng.randrange(SCENES_A_FAMILY))

    def _member(self, family: int, member: int) -> tuple[Scene, int]:
        return self.families[family][0][member], self._first + family * SCENES_A_FAMILY + member

    def pairs(self, rng: Random) -> tuple[list[int], list[Turns]]:
        """Two pictures and a request: composed (reference first) and plain (a blank first) in turn."""
        pictures: list[int] = []
        rows: list[Turns] = []
        for number in range(self.plan.pairs):
            if number % 2:
                scene, picture = self._any(rng)
                pictures += [self._blank, picture]
                rows.append((Pictures.plain(2), search_branches(scene, rng)))
            else:
                family = rng.randrange(len(self.families))
                queries = self.families[family][1]
                change = rng.randrange(KINDS_A_FAMILY)
                _, reference = self._member(family, 0)
                scene, picture = self._member(family, 1 + 2 * change + (rng.random() < 0.4))
                pictures += [reference, picture]
                other = queries[(change + 1) % KINDS_A_FAMILY]
                asked = [queries[change]] if rng.random() < 0.6 else [queries[change], other]
                judged = [judge_branch(query, scene) for query in asked]
                rows.append((Pictures.plain(2), [*judged, grade_branch(queries[change], scene)]))
        return pictures, rows

    def lettered(self, rng: Random) -> tuple[list[int], list[Turns]]:
        """Several candidates under letters, and a request of which one is the best."""
        pictures: list[int] = []
        rows: list[Turns] = []
        count = rng.choice((2, 2, 3, 4, 4, 5, 8))
        while len(rows) < max(1, self.plan.compared // count):
            first, shown, query, _ = self._compared(rng, count)
            about, order, branches = lettered(query, [scene for scene, _ in shown], rng)
            if branches:
                pictures += [first, *(shown[place][1] for place in order)]
                rows.append((about, branches))
        return pictures, rows

    def numbered(self, rng: Random) -> tuple[list[int], list[Turns]]:
        """Several candidates under numbers, to be put in order, graded, and checked part by part."""
        pictures: list[int] = []
        rows: list[Turns] = []
        count = rng.choice((3, 4, 6, 8, 10, 10, 10))
        while len(rows) < max(1, self.plan.compared // count):
            first, shown, query, composed = self._compared(rng, count)
            scenes = [scene for scene, _ in shown]
            rows.append(numbered(query, scenes, apart=rng.random() < 0.5, composed=composed))
            pictures += [first, *(picture for _, picture in shown)]
        return pictures, rows

    def _compared(self, rng: Random, count: int) -> tuple[int, list[tuple[Scene, int]], Query, bool]:
        """A reference (blank for text), candidates that are easily confused, a request, and whether it is composed.

        Members of one family come first; most others show something that the request names, as those do that a search
        finds.
        """
        family = rng.randrange(len(self.families))
        scenes, changes = self.families[family]
        composed = rng.random() < 0.5
        members = range(1 if composed else 0, SCENES_A_FAMILY)
        chosen = rng.sample(members, min(count, len(members), rng.randint(2, len(members))))
        query = rng.choice(changes) if composed else any_query(scenes[rng.choice(chosen)], rng)
        shown = [self._member(family, member) for member in chosen]
        shown += [self._alike(query, rng) for _ in range(count - len(shown))]
        rng.shuffle(shown)
        return self._member(family, 0)[1] if composed else self._blank, shown, query, composed

    def _alike(self, query: Query, rng: Random) -> tuple[Scene, int]:
        """Some picture, mostly one that shows a thing the request names."""
        named = [p for condition in query.conditions for p in patterns(condition) if p.kind and p.colour]
        known = [look for p in named if (look := (str(p.kind), str(p.colour))) in self._looks]
        if not known or rng.random() < 0.3:
            return self._any(rng)
        number = rng.choice(self._looks[rng.choice(known)])
        return self.scenes[number], number

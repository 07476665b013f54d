"""The data mixture of the mini chat model: which images and turns make up each training step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.data.batch import PackedBatch
from imagescope_agent.lab.training.data.comparison_turns import (
    choice_turns,
    grade_turn,
    listwise_turns,
    patterns,
    target_turn,
)
from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.data.image_pool import (
    IMAGES_PER_GROUP,
    QUERIES_PER_GROUP,
    ImagePool,
    composed_groups,
    open_shard,
)
from imagescope_agent.lab.training.data.image_turns import (
    caption_turn,
    judge_turn,
    text_judge_turns,
    verdict_turns,
)
from imagescope_agent.lab.training.data.packing import Packer, RowTurns
from imagescope_agent.lab.training.data.turn import NO_IMAGES, ImageContext, TrainingTurn
from imagescope_agent.lab.training.data.understanding_turns import (
    predicates_turn,
    random_query,
    understand_turn,
)
from imagescope_agent.lab.training.network.image_grid import IMAGE_SIDE

#: The fields of `TrainingPlan` that count rows of a step, or candidates in them.
_ROW_COUNTS = ("single_images", "image_pairs", "text_queries", "dialogs", "proposals", "candidates")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Hyperparameters: length, rows of each type per step, learning rates, checkpoints.

    Attributes:
        steps: in all.
        single_images: rows of one image, with a caption and `questions_per_image` yes/no questions.
        counting: the share of these questions that count; the others are of every skill.
        image_pairs: rows of a reference, or a blank image, and a candidate.
        text_queries: queries to be understood.
        dialogs: dialogue states to be updated, each with another turn.
        proposals: lists of clarifying questions.
        candidates: shown in multiple choice, and as many in listwise rows, approximately.
        peak_lr: of the learning rate.
        frozen_vision_steps: first steps without training the vision tower, which is pretrained.
        vision_lr_scale: factor of the vision tower's learning rate after that.
        warmup_steps: of the learning rate.
        auxiliary_heads: whether to train them; newly initialised heads would disturb a trained model at first.
        save_every: steps between checkpoints.
        bfloat16: whether products are computed in 16 bits; weights and their moments keep 32.
        seed: of the data.
    """

    steps: int
    single_images: int = 6
    questions_per_image: int = 12
    counting: float = 0.0
    image_pairs: int = 4
    text_queries: int = 28
    dialogs: int = 8
    proposals: int = 4
    candidates: int = 16
    peak_lr: float = 1e-3
    frozen_vision_steps: int = 1500
    vision_lr_scale: float = 0.3
    warmup_steps: int = 60
    auxiliary_heads: bool = True
    save_every: int = 100
    bfloat16: bool = False
    seed: int = 0

    def scaled(self, factor: int) -> TrainingPlan:
        """The same with `factor` times as many rows in every step."""
        return replace(self, **{name: getattr(self, name) * factor for name in _ROW_COUNTS})


def counting_plan(steps: int, peak_lr: float) -> TrainingPlan:
    """For a finished model that is to count better: images and numbers above all, and some of the rest."""
    return TrainingPlan(
        steps=steps,
        single_images=20,
        counting=2 / 3,
        image_pairs=4,
        text_queries=4,
        dialogs=3,
        proposals=1,
        candidates=10,
        peak_lr=peak_lr,
        frozen_vision_steps=0,
        vision_lr_scale=0.5,
        warmup_steps=25,
        auxiliary_heads=False,
        save_every=25,
        bfloat16=True,
        seed=71,  # other images and questions than the model has seen in these steps
    )


class DataMixture:
    """The images of the pool and the turns sampled about them; step `n` always has the same ones.

    Args:
        folder: of the pool, with the shards "singles" and "families".
        plan: how many rows of each type.
        group_seeds: of the composed-query groups in "families".
    """

    def __init__(self, folder: Path, plan: TrainingPlan, group_seeds: range) -> None:
        self.plan = plan
        singles, self.scenes = open_shard(folder / "singles")
        members, _ = open_shard(folder / "families")
        blank = np.full((1, IMAGE_SIDE, IMAGE_SIDE, 3), 255, dtype=np.uint8)
        self.pool = ImagePool([singles, members, blank])
        self._first_member, self._blank = len(singles), len(singles) + len(members)
        with ProcessPoolExecutor() as workers:
            chunks = workers.map(composed_groups, group_seeds)
            self.groups = [group for chunk in chunks for group in chunk]
        self.images_by_thing: dict[tuple[str, str], list[int]] = {}  # kind and colour -> single images
        for number, scene in enumerate(self.scenes):
            for thing in {(thing.kind, thing.colour) for thing in scene.things}:
                self.images_by_thing.setdefault(thing, []).append(number)

    def step(self, number: int, packer: Packer) -> Iterator[PackedBatch]:
        """The packed batches of a step."""
        rng = Random(f"{self.plan.seed}-{number}")
        for images, rows, loss_scale in self.batches(rng):
            yield packer.pack(rows, images, loss_scale)

    def batches(self, rng: Random) -> Iterator[tuple[list[int], list[RowTurns], float]]:
        """The batches of a step: numbers of the images, rows, and the factor of their loss."""
        for make in (self.single_images, self.image_pairs, self.choice_rows, self.listwise_rows):
            images, rows = make(rng)
            yield images, rows, 1.0
        queries = [random_query(rng) for _ in range(self.plan.text_queries)]
        yield [], [(NO_IMAGES, [understand_turn(*each)]) for each in queries], 0.75
        yield [], [(NO_IMAGES, [predicates_turn(query)]) for query, _ in queries[::2]], 0.25
        dialogs: list[RowTurns] = [
            (NO_IMAGES, [state_update_turn(rng), self._short_turn(rng)]) for _ in range(self.plan.dialogs)
        ]
        yield [], dialogs, 0.75
        yield [], [(NO_IMAGES, [question_proposal_turn(rng)]) for _ in range(self.plan.proposals)], 0.25

    def _short_turn(self, rng: Random) -> TrainingTurn:
        """A target description, or the wording of a question."""
        while rng.random() < 0.6:
            query, reference = random_query(rng)
            if reference is not None:
                return target_turn(query, reference)
        return question_wording_turn(rng)

    def single_images(self, rng: Random) -> tuple[list[int], list[RowTurns]]:
        """Single images with a caption and yes/no questions; a quarter of them from groups."""
        images: list[int] = []
        rows: list[RowTurns] = []
        for _ in range(self.plan.single_images):
            scene, image = self._random_image(rng)
            images.append(image)
            asked = self.plan.questions_per_image
            counting = round(self.plan.counting * asked)
            numbers = verdict_turns(scene, rng, counting, "count")
            turns = [caption_turn(scene), *numbers, *verdict_turns(scene, rng, asked - counting)]
            rows.append((ImageContext.unlabelled(1), turns))
        return images, rows

    def _random_image(self, rng: Random) -> tuple[Scene, int]:
        if rng.random() < 0.75:
            number = rng.randrange(len(self.scenes))
            return self.scenes[number], number
        return self._member(rng.randrange(len(self.groups)), rng.randrange(IMAGES_PER_GROUP))

    def _member(self, group: int, member: int) -> tuple[Scene, int]:
        return self.groups[group][0][member], self._first_member + group * IMAGES_PER_GROUP + member

    def image_pairs(self, rng: Random) -> tuple[list[int], list[RowTurns]]:
        """Two images and judgements: composed queries (reference first) and text queries (blank first) in turn."""
        images: list[int] = []
        rows: list[RowTurns] = []
        for number in range(self.plan.image_pairs):
            if number % 2:
                scene, image = self._random_image(rng)
                images += [self._blank, image]
                rows.append((ImageContext.unlabelled(2), text_judge_turns(scene, rng)))
            else:
                group = rng.randrange(len(self.groups))
                queries = self.groups[group][1]
                chosen = rng.randrange(QUERIES_PER_GROUP)
                _, reference = self._member(group, 0)
                scene, image = self._member(group, 1 + 2 * chosen + (rng.random() < 0.4))
                images += [reference, image]
                other = queries[(chosen + 1) % QUERIES_PER_GROUP]
                asked = [queries[chosen]] if rng.random() < 0.6 else [queries[chosen], other]
                judged = [judge_turn(query, scene) for query in asked]
                rows.append((ImageContext.unlabelled(2), [*judged, grade_turn(queries[chosen], scene)]))
        return images, rows

    def choice_rows(self, rng: Random) -> tuple[list[int], list[RowTurns]]:
        """Candidates under letters, with a multiple choice of the best."""
        images: list[int] = []
        rows: list[RowTurns] = []
        count = rng.choice((2, 2, 3, 4, 4, 5, 8))
        while len(rows) < max(1, self.plan.candidates // count):
            first, shown, query, _ = self.sample_candidates(rng, count)
            context, order, turns = choice_turns(query, [scene for scene, _ in shown], rng)
            if turns:
                images += [first, *(shown[place][1] for place in order)]
                rows.append((context, turns))
        return images, rows

    def listwise_rows(self, rng: Random) -> tuple[list[int], list[RowTurns]]:
        """Candidates under numbers, with an order, grades and CoTRR's chain."""
        images: list[int] = []
        rows: list[RowTurns] = []
        count = rng.choice((3, 4, 6, 8, 10, 10, 10))
        while len(rows) < max(1, self.plan.candidates // count):
            first, shown, query, composed = self.sample_candidates(rng, count)
            scenes = [scene for scene, _ in shown]
            rows.append(listwise_turns(query, scenes, with_steps=rng.random() < 0.5, composed=composed))
            images += [first, *(image for _, image in shown)]
        return images, rows

    def sample_candidates(
        self, rng: Random, count: int
    ) -> tuple[int, list[tuple[Scene, int]], SceneQuery, bool]:
        """The reference (blank for text), candidates in random order, a query, and whether it is composed.

        Several candidates are members of one group; most others are hard negatives from `similar_image`.
        """
        group = rng.randrange(len(self.groups))
        scenes, queries = self.groups[group]
        composed = rng.random() < 0.5
        members = range(1 if composed else 0, IMAGES_PER_GROUP)
        chosen = rng.sample(members, min(count, len(members), rng.randint(2, len(members))))
        query = rng.choice(queries) if composed else any_query(scenes[rng.choice(chosen)], rng)
        shown = [self._member(group, member) for member in chosen]
        shown += [self.similar_image(query, rng) for _ in range(count - len(shown))]
        rng.shuffle(shown)
        return self._member(group, 0)[1] if composed else self._blank, shown, query, composed

    def similar_image(self, query: SceneQuery, rng: Random) -> tuple[Scene, int]:
        """A random image, mostly one that shows a thing the query names, as retrieved images do."""
        named = [p for condition in query.conditions for p in patterns(condition) if p.kind and p.colour]
        things = [(str(p.kind), str(p.colour)) for p in named]
        known = [thing for thing in things if thing in self.images_by_thing]
        if not known or rng.random() < 0.3:
            return self._random_image(rng)
        number = rng.choice(self.images_by_thing[rng.choice(known)])
        return self.scenes[number], number

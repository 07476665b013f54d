"""The data mixture is reproducible, scales, and has hard negatives."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.training.data.comparison_turns import patterns
from imagescope_agent.lab.training.data.image_pool import IMAGES_PER_GROUP, ImagePool, composed_groups
from imagescope_agent.lab.training.data.mixture import TrainingPlan, counting_plan
from imagescope_agent.lab.training.data.packing import Packer
from imagescope_agent.lab.training.trainer import StepDataset
from tests.lab.training.samples import SmallMixture


def test_a_step_is_the_same_in_every_process(tokenizer: PreTrainedTokenizerFast, pool: Path) -> None:
    """A data loader's worker makes the same batches as this process."""
    plan = TrainingPlan(
        steps=2,
        single_images=1,
        questions_per_image=2,
        image_pairs=2,
        text_queries=1,
        dialogs=2,
        candidates=3,
    )
    steps: Any = StepDataset(SmallMixture(pool, plan), Packer(tokenizer))
    here = [steps[0], steps[1]]
    there = DataLoader(
        steps, batch_size=None, sampler=range(2), num_workers=1, collate_fn=lambda batches: batches
    )
    for mine, other in zip(here, there, strict=True):
        for one, two in zip(mine, other, strict=True):
            np.testing.assert_equal(one._asdict(), two._asdict())


def test_a_scaled_plan_has_more_rows_of_every_type(pool: Path) -> None:
    plan = TrainingPlan(
        steps=1,
        single_images=2,
        questions_per_image=3,
        image_pairs=2,
        text_queries=2,
        dialogs=2,
        candidates=16,
    )

    def rows(mixture: SmallMixture) -> list[int]:
        """By type, of several steps: how many candidates are shown at once is drawn."""
        steps = [[len(rows) for _, rows, _ in mixture.batches(Random(seed))] for seed in range(12)]
        return [sum(each) for each in zip(*steps, strict=True)]

    few, many = rows(SmallMixture(pool, plan)), rows(SmallMixture(pool, plan.scaled(3)))
    assert all(larger >= 2 * fewer for fewer, larger in zip(few, many, strict=True))


def test_who_is_to_count_better_is_asked_for_numbers_above_all(pool: Path) -> None:
    def share_of_numbers(plan: TrainingPlan) -> float:
        _, rows = SmallMixture(pool, plan).single_images(Random(5))
        asked = [turn.prompt for _, turns in rows for turn in turns if turn.kind == "verdict"]
        numbers = re.compile(r"\b(?:exactly|just|there (?:one|two|three|four|five|six))\b")
        return sum(bool(numbers.search(prompt)) for prompt in asked) / len(asked)

    assert share_of_numbers(TrainingPlan(steps=1, single_images=20)) < 0.5
    assert share_of_numbers(counting_plan(1, 1e-4)) > 0.6


def test_images_are_numbered_consecutively_over_shards() -> None:
    shards = [np.full((n, 1, 1, 3), value, dtype=np.uint8) for n, value in ((2, 7), (3, 8), (1, 9))]
    taken = ImagePool(shards).take(np.array([5, 0, 1, 2, 4]))
    assert taken[:, 0, 0, 0].tolist() == [9, 7, 7, 8, 8]


def test_most_sampled_images_show_a_thing_that_the_query_names(pool: Path) -> None:
    mixture = SmallMixture(pool, TrainingPlan(steps=1))
    rng, shared, tried = Random(2), 0, 0
    for _ in range(60):
        _, _, query, _ = mixture.sample_candidates(rng, 4)
        things = {(p.kind, p.colour) for c in query.conditions for p in patterns(c)}
        if things & mixture.images_by_thing.keys():
            tried += 1
            scene, _ = mixture.similar_image(query, rng)
            shared += any((thing.kind, thing.colour) in things for thing in scene.things)
    assert 0.5 * tried < shared < tried


def test_groups_hold_targets_and_near_misses() -> None:
    from imagescope_agent.lab.scenes.conditions import satisfies

    missed = 0
    for scenes, queries in composed_groups(3)[:20]:
        assert len(scenes) == IMAGES_PER_GROUP
        for number, query in enumerate(queries):
            assert satisfies(scenes[1 + 2 * number], query.conditions)
            missed += not satisfies(scenes[2 + 2 * number], query.conditions)
    assert missed > 20

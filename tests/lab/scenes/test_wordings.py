"""Queries worded by sentence frames: true of their scenes, and with frames that are held out."""

from __future__ import annotations

from random import Random

import pytest

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query
from imagescope_agent.lab.scenes.conditions import satisfies
from imagescope_agent.lab.scenes.wordings.composed_wordings import FramedWording
from imagescope_agent.lab.scenes.wordings.frames import every_frame, frames
from imagescope_agent.lab.scenes.wordings.text_wordings import worded_text_query
from imagescope_agent.lab.scenes.world import random_scene


def test_frames_that_are_held_out_are_not_taught() -> None:
    kinds = [(group, kind) for group, kinds in every_frame().items() for kind in kinds]
    held = 0
    for group, kind in kinds:
        taught, unseen = frames(group, kind), frames(group, kind, unseen=True)
        assert taught and (set(taught).isdisjoint(unseen) or unseen == taught)
        held += len(unseen) if unseen != taught else 0
    assert held > 40


@pytest.mark.parametrize("unseen", [False, True])
def test_a_scene_answers_the_query_that_was_worded_from_it(unseen: bool) -> None:
    rng, made, texts = Random(3), 0, set()
    while made < 300:
        scene = random_scene(rng)
        query = worded_text_query(scene, rng, unseen=unseen)
        if query is not None:
            assert satisfies(scene, query.conditions) and "{" not in query.text
            texts.add(query.text)
            made += 1
    assert len(texts) > 290


def test_other_words_for_an_edit_change_nothing_else() -> None:
    rng, compared = Random(8), 0
    while compared < 200:
        scene, kind, seed = random_scene(rng, count=3), rng.choice(COMPOSED_KINDS), rng.random()
        pair = composed_query(scene, kind, Random(seed), FramedWording())
        if pair is None:
            continue
        query, target = pair
        assert satisfies(target, query.conditions) and "{" not in query.text
        compared += 1

"""Queries that keep a few things of the reference and change them."""

from __future__ import annotations

import re
from random import Random

import pytest

from imagescope_agent.lab.scenes.conditions import Exists, InSetting
from imagescope_agent.lab.scenes.kept_queries import KeptWording, PlainKept, kept_query
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.wordings.composed_wordings import FramedWording
from imagescope_agent.lab.scenes.world import COLOURS, Scene, random_scene
from imagescope_agent.lab.training.data.understanding_turns import understand_turn

WORDINGS = [PlainKept(), FramedWording(), FramedWording(unseen=True)]


def made(wording: KeptWording, count: int = 300) -> list[tuple[Scene, SceneQuery]]:
    found: list[tuple[Scene, SceneQuery]] = []
    rng = Random(7)
    while len(found) < count:
        reference = random_scene(rng)
        if (query := kept_query(reference, rng, wording)) is not None:
            found.append((reference, query))
    return found


@pytest.mark.parametrize("wording", WORDINGS, ids=["plain", "framed", "held out"])
def test_each_step_stands_where_the_reference_says(wording: KeptWording) -> None:
    for reference, query in made(wording):
        assert list(query.places) == sorted(query.places)
        for step, place in zip(query.steps, query.places, strict=True):
            if place == len(reference.things):
                assert isinstance(step.condition, InSetting)
                assert step.condition.name != reference.setting
                continue
            assert isinstance(step.condition, Exists)
            wanted = step.condition.pattern
            if place > len(reference.things):
                assert step.type == "Addition"
                continue
            old = reference.things[place]
            assert wanted.kind == old.kind
            same_colour, same_size = wanted.colour == old.colour, wanted.size in (None, old.size)
            assert step.type == {
                (True, True): "Retention", (False, True): "Modification", (True, False): "Comparison"
            }.get((same_colour, same_size), "Comparison")  # fmt: skip


@pytest.mark.parametrize("wording", WORDINGS, ids=["plain", "framed", "held out"])
def test_descriptions_say_what_the_steps_ask_for(wording: KeptWording) -> None:
    for _, query in made(wording):
        for condition in query.conditions:
            if isinstance(condition, Exists):
                assert condition.pattern.words() in query.core
            else:
                assert query.full.endswith(condition.words().removeprefix("the scene"))


def test_one_to_four_changes_and_it_for_one_thing_kept() -> None:
    queries = made(PlainKept())
    kept = [sum(place < len(reference.things) for place in query.places) for reference, query in queries]
    assert {1, 2} == {*kept}
    of_it = {
        number
        for number, (_, query) in zip(kept, queries, strict=True)
        if re.search(rf"\b(?:paint|make) it (?:{'|'.join(COLOURS)})\b", query.text)
    }
    assert of_it == {1}
    assert {"Retention", "Modification", "Comparison", "Addition"} == {
        step.type for _, query in queries for step in query.steps
    }


def test_turns_label_what_is_kept_and_what_changes() -> None:
    for reference, query in made(FramedWording(), 50):
        turn = understand_turn(query, reference)
        types = [label.type for label in turn.edits]
        assert len(types) == len(reference.things)
        for place, type_ in enumerate(types):
            assert (type_ == "none") == (place not in query.places), caption(reference)

"""Synthetic scenes: images show the scene graph, and queries, questions and dialogs are true of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.lab.scenes.conditions import (
    Absent,
    Condition,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
    satisfies,
)
from imagescope_agent.lab.scenes.dialog.dialogs import dialog
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.language import caption, free_caption
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.scenes.mixed_queries import mixed_query
from imagescope_agent.lab.scenes.questions import SKILLS, random_question
from imagescope_agent.lab.scenes.stickers import PALETTE
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, SETTINGS, Scene, Thing, random_scene


def thing(kind: str, colour: str, size: str, x: float, y: float) -> Thing:
    return Thing(kind=kind, colour=colour, size=size, x=x, y=y, diameter=0.34 if size == "large" else 0.21)


FARM = Scene(
    things=(
        thing("house", "red", "large", 0.25, 0.7),
        thing("cat", "black", "small", 0.5, 0.3),
        thing("cat", "white", "small", 0.8, 0.6),
    ),
    setting="night",
)


def test_scenes_have_one_to_six_things() -> None:
    assert len(KINDS) >= 10 and len(COLOURS) == 8 and len(SETTINGS) >= 5
    counts = Counter(len(random_scene(Random(seed)).things) for seed in range(300))
    assert set(counts) == {1, 2, 3, 4, 5, 6}


def test_things_do_not_overlap_and_relations_are_unambiguous() -> None:
    rng = Random(5)
    for _ in range(300):
        things = random_scene(rng).things
        assert list(things) == sorted(things, key=lambda t: t.x)
        for i, one in enumerate(things):
            assert one.x - one.diameter / 2 > 0 and one.x + one.diameter / 2 < 1
            for other in things[i + 1 :]:
                apart = math.dist((one.x, one.y), (other.x, other.y))
                assert apart > 0.99 * (one.diameter + other.diameter) / 2
                assert min(abs(one.x - other.x), abs(one.y - other.y)) > 0.048


def test_an_image_shows_its_things_in_their_colours_and_places() -> None:
    for colour, rgb in PALETTE.items():
        scene = Scene(things=(thing("heart", colour, "large", 0.3, 0.6),), setting="snow")
        pixels = np.asarray(draw(scene)).astype(int)
        assert pixels.shape == (256, 256, 3)
        spot = pixels[int(0.62 * 256), int(0.3 * 256)]
        assert np.abs(spot - rgb).max() < 12, colour


def test_edges_are_smooth() -> None:
    scene = Scene(things=(thing("star", "red", "large", 0.5, 0.5),), setting="meadow")
    box = np.asarray(draw(scene).crop((80, 80, 176, 176))).reshape(-1, 3)
    assert (
        len({tuple(pixel) for pixel in box}) > 120
    )  # without anti-aliasing there are those of the sky and three more


def test_conditions_by_hand() -> None:
    yes: list[Condition] = [
        Exists(Pattern("cat")),
        Exists(Pattern("cat", "white", "small")),
        Absent(Pattern("cat", "red")),
        Count(Pattern("cat"), 2),
        Count(Pattern(), 3),
        Related(Pattern("house"), "left of", Pattern("cat", "black")),
        Related(Pattern("cat"), "below", Pattern("cat")),
        InSetting("night"),
    ]
    no: list[Condition] = [
        Exists(Pattern("cat", "black", "large")),
        Absent(Pattern("house")),
        Count(Pattern("cat"), 1),
        Related(Pattern("house"), "above", Pattern("cat")),
        Related(Pattern("house"), "left of", Pattern("house")),
        InSetting("beach"),
    ]
    assert satisfies(FARM, yes)
    assert not any(condition.holds(FARM) for condition in no)
    assert Absent(Pattern("tree", "red")).question() == "Is there a red tree?"
    assert Count(Pattern("cat"), 2).question() == "Are there exactly two cats?"
    assert Exists(Pattern("umbrella")).question() == "Is there an umbrella?"
    assert caption(FARM) == (
        "From left to right: a large red house, a small black cat and a small white cat, at night."
    )


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_text_query_is_answered_by_the_scene_it_was_made_from(kind: str) -> None:
    rng, made = Random(3), 0
    while made < 100:
        scene = random_scene(rng)
        query = text_query(scene, kind, rng)
        if query is None:
            continue
        made += 1
        assert query.kind == kind and satisfies(scene, query.conditions)
        assert query.text and query.core and query.enhanced and query.full


@pytest.mark.parametrize("kind", COMPOSED_KINDS)
def test_a_composed_query_is_answered_by_its_target_and_not_by_its_reference(kind: str) -> None:
    rng, made, same = Random(4), 0, 0
    while made < 100:
        reference = random_scene(rng, count=rng.randint(2, 4))
        pair = composed_query(reference, kind, rng)
        if pair is None:
            continue
        made += 1
        query, target = pair
        assert satisfies(target, query.conditions)
        same += satisfies(reference, query.conditions)
        assert kind.capitalize() in {step.type for step in query.steps}
    assert same < 10  # "a bigger house" may be met by a size the words did not need to change


def test_steps_follow_the_reference_from_left_to_right() -> None:
    rng, seen = Random(8), 0
    while seen < 60:
        reference = random_scene(rng, count=4)
        if len({(thing.kind, thing.colour) for thing in reference.things}) < 4:
            continue
        pair = composed_query(reference, "removal", rng)
        if pair is None:
            continue
        seen += 1
        steps = [step for step in pair[0].steps if step.type in ("Retention", "Removal")]
        named = [step.condition.pattern for step in steps if isinstance(step.condition, Exists | Absent)]
        places = [next(i for i, t in enumerate(reference.things) if pattern.matches(t)) for pattern in named]
        assert places == sorted(places), (reference, pair[0].steps)


def test_wording_varies() -> None:
    rng = Random(6)
    queries = {text_query(FARM, "relational", rng).text for _ in range(200)}  # type: ignore[union-attr]
    assert len(queries) > 60
    assert len({free_caption(FARM, rng) for _ in range(100)}) > 50


def test_questions_are_the_same_in_every_process() -> None:
    """Sets of strings come in another order in every process; a seed must not depend on it."""
    code = (
        "from random import Random; from imagescope_agent.lab.scenes.questions import random_question;"
        "from imagescope_agent.lab.scenes.world import random_scene; rng = Random(3);"
        "print([random_question(random_scene(rng), rng, 'count').text for _ in range(40)])"
    )
    asked = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert asked[0] == asked[1] == asked[2]


@pytest.mark.parametrize("skill", SKILLS)
def test_questions_are_balanced(skill: str) -> None:
    rng = Random(7)
    asked = [random_question(random_scene(rng, count=rng.randint(2, 6)), rng, skill) for _ in range(600)]
    assert {question.skill for question in asked} <= {skill, "thing"}
    assert 0.42 < sum(question.answer for question in asked) / len(asked) < 0.58


def test_what_is_counted_may_not_be_there_at_all() -> None:
    """A model that was only asked to count what it sees finds "exactly one" of what is not there."""
    rng, absent, answers = Random(7), 0, 0
    for _ in range(400):
        scene = random_scene(rng)
        asked = random_question(scene, rng, "count")
        if asked.skill == "count" and not asked.answer:
            answers, absent = answers + 1, absent + (not asked.named[0].among(scene))
    assert 0.2 < absent / answers < 0.5


def test_a_near_miss_differs() -> None:
    rng = Random(8)
    for _ in range(50):
        miss = near_miss_scene(FARM, rng)
        patterns = sorted((t.kind, t.colour, t.size) for t in miss.things)
        assert (
            patterns != sorted((t.kind, t.colour, t.size) for t in FARM.things)
            or miss.setting != FARM.setting
        )


def test_a_dialog_has_ten_different_rounds() -> None:
    rng = Random(9)
    for _ in range(50):
        rounds = dialog(random_scene(rng), rng)
        assert len(rounds) == 11 and len(set(rounds)) == 11
        assert all("? " in text for text in rounds[1:])


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_seed_determines_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 11), ("b", 11), ("c", 12)):
        make_world(tmp_path / name, seed, 48)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")
    assert _digest(tmp_path / "a") != _digest(tmp_path / "c")


def test_targets_are_all_relevant_images(tmp_path: Path) -> None:
    make_world(tmp_path, 13, 60)
    lines = {
        name: [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("scenes", "tir", "cir", "chat")
    }
    assert len(lines["scenes"]) == 60 == len(list((tmp_path / "images").glob("*.png")))
    assert {line["kind"] for line in lines["tir"]} == set(TEXT_KINDS)
    assert {line["kind"] for line in lines["cir"]} == set(COMPOSED_KINDS)
    things = {line["id"]: line["things"] for line in lines["scenes"]}
    for line in lines["tir"] + lines["cir"]:
        assert line["targets"] and line.get("reference") not in line["targets"]
        for predicate in line["predicates"]:
            words = predicate["question"].rstrip("?").split()
            if words[:2] != ["Is", "there"] or len(words) != 5 or words[3] not in COLOURS:
                continue  # the check below parses only "Is there a COLOUR KIND?"
            for target in line["targets"]:
                seen = any(t["colour"] == words[3] and t["kind"] == words[4] for t in things[target])
                assert seen == (predicate["expected"] == "Yes")
    assert all(len(line["dialog"]) == 11 for line in lines["chat"])
    with Image.open(tmp_path / lines["chat"][0]["target"]) as image:
        assert image.size == (256, 256)


def test_mixed_queries_are_answered_by_their_scene_and_have_three_descriptions() -> None:
    rng = Random(8)
    made = [(scene, mixed_query(scene, rng)) for scene in (random_scene(rng) for _ in range(200))]
    queries = [(scene, query) for scene, query in made if query is not None]
    assert len(queries) > 150
    for scene, query in queries:
        assert satisfies(scene, query.conditions), query
        assert query.core and query.enhanced and query.full
    combined = {frozenset(type(condition) for condition in query.conditions) for _, query in queries}
    assert len(combined) > 12, "types of condition are combined in many ways"

"""Training turns of proposing an edit: from captions of a reference and of candidates to the words that lead to one."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.judges.position_debiasing import LABELS
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.lab.scenes.conditions import satisfies
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import SceneQuery, kind_colour_patterns
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.data.turn import TrainingTurn, compact_json, fill_prompt
from imagescope_agent.nodes.triplets.propose import ANY_OPENING, OPENINGS, described
from imagescope_agent.replies.parsing import NO_TARGET

_CANDIDATES = (1, 2, 3, 3)  # how many are shown
_UNREACHABLE = 0.12  # share of turns in which no candidate is the target
_FREE = 0.25  # share of turns whose opening words are left to the model


def edit_turn(rng: Random) -> TrainingTurn:
    """The edit that leads from a reference to one of up to three candidates, or that there is none."""
    while True:
        reference = random_scene(rng, count=rng.choice((1, 2, 2, 3, 3, 4, 4, 5)))
        made = composed_query(reference, rng.choice(COMPOSED_KINDS), rng)
        if made is not None:
            break
    query, target = made
    count = rng.choice(_CANDIDATES)
    if rng.random() < _UNREACHABLE:
        return _turn(reference, [_unrelated(reference, rng) for _ in range(count)], None, None, rng)
    scenes = [target, *(_distractor(query, reference, target, rng) for _ in range(count - 1))]
    rng.shuffle(scenes)
    return _turn(reference, scenes, scenes.index(target), query, rng)


def _turn(
    reference: Scene, scenes: Sequence[Scene], target: int | None, query: SceneQuery | None, rng: Random
) -> TrainingTurn:
    labels = LABELS[: len(scenes)]
    captions = {label: caption(scene) for label, scene in zip(labels, scenes, strict=True)}
    answer = {"target": NO_TARGET}
    opening = rng.choice(OPENINGS)
    if query is not None and target is not None:
        answer = {"target": labels[target], "type": query.kind.capitalize(), "text": query.text}
        opening = _opening(query.text) if rng.random() > _FREE else ANY_OPENING
    prompt = fill_prompt(
        "edit",
        described=described(caption(reference), captions),
        labels=", ".join(labels),
        opening=opening,
    )
    return TrainingTurn(prompt=prompt, answer=compact_json(answer), kind="talk")


def _opening(text: str) -> str:
    """The longest of the openings that a text begins with."""
    found = [each for each in OPENINGS if text.startswith(each)]
    return max(found, key=len, default=ANY_OPENING)


def _distractor(query: SceneQuery, reference: Scene, target: Scene, rng: Random) -> Scene:
    """A scene that the query does not lead to: a random one, or the reference or the target changed."""
    while True:
        choice = rng.random()
        if choice < 0.3:
            scene = random_scene(rng)
        elif choice < 0.6:
            scene = near_miss_scene(target, rng)
        else:
            scene = near_miss_scene(near_miss_scene(reference, rng), rng)
        if not satisfies(scene, query.conditions):
            return scene


def _unrelated(reference: Scene, rng: Random) -> Scene:
    """A random scene that shares no thing with the reference."""
    known = set(kind_colour_patterns(reference.things))
    while True:
        scene = random_scene(rng)
        if not known & set(kind_colour_patterns(scene.things)) and scene.setting != reference.setting:
            return scene

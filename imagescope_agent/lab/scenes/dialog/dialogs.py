"""Dialogs about a target scene in VisDial format: a caption, then ten rounds of question and answer."""

from __future__ import annotations

from random import Random

from imagescope_agent.lab.scenes.conditions import NUMBERS, SETTING_PHRASE, Pattern, stands
from imagescope_agent.lab.scenes.language import free_caption, join
from imagescope_agent.lab.scenes.world import KINDS, RELATIONS, SETTINGS, Scene

ROUNDS = 10


def dialog(target: Scene, rng: Random) -> list[str]:
    """A short caption and ten "question? answer" rounds, no question twice: 11 strings."""
    rounds = [free_caption(target, rng, keep=0.5)]
    asked: set[str] = set()
    while len(rounds) <= ROUNDS:
        question, answer = _round(target, rng)
        if question not in asked:
            asked.add(question)
            rounds.append(f"{question}? {answer}")
    return rounds


def _round(scene: Scene, rng: Random) -> tuple[str, str]:
    return rng.choice((_kind, _kind, _colour, _colour, _size, _setting, _number, _relation))(scene, rng)


def _kind(scene: Scene, rng: Random) -> tuple[str, str]:
    kind = rng.choice([t.kind for t in scene.things]) if rng.random() < 0.4 else rng.choice(KINDS)
    return f"is there {Pattern(kind).words()}", "yes" if Pattern(kind).among(scene) else "no"


def _colour(scene: Scene, rng: Random) -> tuple[str, str]:
    kind = rng.choice([t.kind for t in scene.things])
    colours = [t.colour for t in Pattern(kind).among(scene)]
    if len(colours) == 1:
        return f"what colour is the {kind}", colours[0]
    return f"what colours are the {kind}s" if kind != "fish" else "what colours are the fish", join(colours)


def _size(scene: Scene, rng: Random) -> tuple[str, str]:
    thing = rng.choice(scene.things)
    pattern = Pattern(thing.kind, thing.colour)
    if len(pattern.among(scene)) > 1:
        return _number(scene, rng)
    return f"is the {pattern.bare} large or small", thing.size


def _setting(scene: Scene, rng: Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        return "where is it", SETTING_PHRASE[scene.setting]
    setting = rng.choice(SETTINGS)
    return f"is it {SETTING_PHRASE[setting]}", "yes" if setting == scene.setting else "no"


def _number(scene: Scene, rng: Random) -> tuple[str, str]:
    pattern = rng.choice((Pattern(), Pattern(rng.choice([t.kind for t in scene.things]))))
    return f"how many {pattern.words(2).split()[-1]} are there", NUMBERS[len(pattern.among(scene))]


def _relation(scene: Scene, rng: Random) -> tuple[str, str]:
    thing, relation = rng.choice(scene.things), rng.choice(RELATIONS)
    pattern = Pattern(thing.kind, thing.colour)
    if len(pattern.among(scene)) > 1:
        return _setting(scene, rng)
    others = [
        Pattern(o.kind, o.colour).words()
        for o in scene.things
        if o is not thing and stands(o, relation, thing)
    ]
    return f"what is {relation} the {pattern.bare}", join(others) or "nothing"

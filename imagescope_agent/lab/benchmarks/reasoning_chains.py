"""Whether a chain's conclusion is true of a drawn scene, and whether a ranking follows a chain that is edited."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.conditions import NUMBERS, PLURALS, SETTING_PHRASE, Pattern
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import COLOURS, SIZES, Scene, Thing
from imagescope_agent.prompting import steps_text
from imagescope_agent.replies.chains import Chain
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder

_SINGULAR = {plural: kind for kind, plural in PLURALS.items()} | {kind: kind for kind in PLURALS}
_THING = re.compile(
    rf"\b(?:({'|'.join(NUMBERS)}|an?) )?(?:({'|'.join(SIZES)}) )?(?:({'|'.join(COLOURS)}) )?"
    rf"({'|'.join(sorted(_SINGULAR, key=len, reverse=True))})\b"
)


def read_world(root: Path) -> dict[str, Scene]:
    """The scenes of a drawn collection by image.

    Raises:
        BadInput: there are none.
    """
    try:
        lines = (root / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadInput(f"{str(root)!r} holds no drawn scenes; remove it and run this again") from error
    found = {}
    for record in map(json.loads, lines):
        things = tuple(Thing(**thing) for thing in record["things"])
        found[record["id"].removeprefix("images/")] = Scene(
            things=things, setting=record["setting"], variant=record["variant"]
        )
    return found


def is_true(conclusion: str, scene: Scene) -> bool:
    """Whether all that a conclusion names is there: things as often as named, and the setting; no relations."""
    if any(phrase in conclusion and scene.setting != name for name, phrase in SETTING_PHRASE.items()):
        return False
    wanted = Counter[Pattern]()
    for number, size, colour, kind in _THING.findall(conclusion):
        pattern = Pattern(
            None if kind in ("thing", "things") else _SINGULAR[kind], colour or None, size or None
        )
        wanted[pattern] += NUMBERS.index(number) if number in NUMBERS else 1
    return all(sum(map(each.matches, scene.things)) >= count for each, count in wanted.items())


def counterfactual(model: ReasoningEmbedder, tries: int, seed: int = 0) -> dict[str, float]:
    """Change a colour in true chains by hand, and look for the picture that is so changed among many.

    Args:
        model: embeds.
        tries: chains that are changed.
        seed: of the scenes.

    Returns:
        The share of chains whose changed picture comes first: where the conclusion alone is changed, and where the
        steps that name the thing are too.
    """
    rng, made = (
        Random(f"counterfactual {seed}"),
        list[tuple[Scene, SceneQuery, str, Scene, tuple[str, str]]](),
    )
    scenes: list[Scene] = []
    while len(made) < tries:
        group = composed_group(rng, rng.sample(COMPOSED_KINDS, 3))
        if group is None:
            continue
        shown, queries = group
        scenes += shown
        for number, query in enumerate(queries):
            if (changed := _recoloured(shown[1 + 2 * number], query.full, rng)) and len(made) < tries:
                made.append((shown[0], query, changed[0], changed[1], changed[2]))
    gallery = model.images([draw(scene) for scene in [*scenes, *(each[3] for each in made)]])
    found = {}
    for name in ("the conclusion", "steps and conclusion"):
        chains = [_chain(each, steps=name != "the conclusion") for each in made]
        places = model.reasoned([draw(each[0]) for each in made], [each[1].text for each in made], chains)
        best = np.argmax(places @ gallery.T, axis=1)
        every = [*scenes, *(each[3] for each in made)]
        right = [_same(every[int(row)], each[3]) for row, each in zip(best, made, strict=True)]
        found[name] = round(float(np.mean(right)), 4)
    return found


def _recoloured(target: Scene, conclusion: str, rng: Random) -> tuple[str, Scene, tuple[str, str]] | None:
    """The conclusion with another colour of one of its things, the scene so changed, and the words; None for none."""
    kinds = Counter((thing.colour, thing.kind) for thing in target.things)
    usable = [
        number
        for number, thing in enumerate(target.things)
        if kinds[thing.colour, thing.kind] == 1 and conclusion.count(f"{thing.colour} {thing.kind}") == 1
    ]
    if not usable:
        return None
    number = rng.choice(usable)
    thing = target.things[number]
    free = [colour for colour in COLOURS if (colour, thing.kind) not in kinds]
    other = rng.choice(free)
    things = [*target.things]
    things[number] = replace(thing, colour=other)
    before, after = f"{thing.colour} {thing.kind}", f"{other} {thing.kind}"
    return conclusion.replace(before, after), replace(target, things=tuple(things)), (before, after)


def _chain(made: tuple[Scene, SceneQuery, str, Scene, tuple[str, str]], *, steps: bool) -> str:
    reference, query, conclusion, _, (before, after) = made
    said = steps_text([{"type": step.type, "text": step.condition.words()} for step in query.steps])
    said = said.replace(before, after) if steps else said
    return str(Chain(caption=caption(reference), reasoning=said, conclusion=conclusion))


def _same(scene: Scene, other: Scene) -> bool:
    """Whether two scenes show the same kinds in the same colours and setting."""

    def things(each: Scene) -> Counter[tuple[str, str]]:
        return Counter((thing.kind, thing.colour) for thing in each.things)

    return things(scene) == things(other) and scene.setting == other.setting

"""Whether a chain's conclusion is true of a drawn scene."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.scenes.conditions import NUMBERS, PLURALS, SETTING_PHRASE, Pattern
from imagescope_agent.lab.scenes.world import COLOURS, SIZES, Scene, Thing

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

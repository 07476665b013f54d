"""Scripted models that annotate triplets about one-coloured pictures.

Run by test_annotate.py too: `python -m tests.graphs.annotate_models FOLDER COUNT` kills the command COUNT times.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.mllms.scripted import Asked
from imagescope_agent.training_data.chains import annotate
from imagescope_agent.training_data.triplet_files import Triplet
from tests.conftest import PALETTE, World
from tests.crashes import Moments, undisturbed

TRIPLETS = [
    Triplet(
        reference="red.png",
        text=f"make it {name}" + (", then go on" if number % 4 == 3 else "") + "!" * number,
        target=f"{name}.png",
        distractors=("green.png",) if name != "green" else ("white.png",),
    )
    for number, name in enumerate(["blue", "green", "yellow", "white"] * 5)
]


def models(world: World, says: str | None = None, sees: Callable[[str, str], bool] | None = None) -> Any:
    """Services whose writer says what the words want (and leaks where they go on), and whose verifier sees colours.

    Args:
        world: the pictures.
        says: what the writer says of every target instead.
        sees: (file name, question) -> Yes instead.
    """

    def understood(asked: Asked) -> str:
        if "Reference" not in asked.text and "reference" not in asked.text:
            return json.dumps({"predicates": [{"question": _question(asked.text), "expected": "Yes"}]})
        return _intent(asked.text)

    def written(asked: Asked) -> str:
        leaks = " and a walrus" if "then go on" in asked.text else ""
        return _intent(asked.text, says or f"a {_colour(asked.text)} square{leaks}")

    def verified(asked: Asked) -> list[float]:
        name = world.keys[asked.images[-1]]
        yes = sees(name, asked.text) if sees else name.removesuffix(".png") in asked.text
        return [0.9, 0.1] if yes else [0.1, 0.9]

    return world.services(
        captioner=world.role("captioner", "a red square"),
        reasoner=world.role("reasoner", understood),
        verifier=world.role("verifier", scorer=verified),
        judge=world.role("judge", written),
    )


def _colour(text: str) -> str:
    return str(re.findall(r"make it (\w+)", text)[-1])


def _question(text: str) -> str:
    return f"Is there a {next(name for name in PALETTE if f'a {name} square' in text)} square?"


def _intent(text: str, full: str | None = None) -> str:
    wanted = f"a {_colour(text)} square"
    step = {"type": "Modification", "text": wanted}
    return json.dumps({"steps": [step], "core": wanted, "enhanced": full or wanted, "full": full or wanted})


def write(world: Any, out: Path) -> Any:
    """Annotate all triplets."""
    return asyncio.run(annotate(models(world), TRIPLETS, out))


def main(base: Path, count: int) -> dict[str, int]:
    """Kill it and compare what it writes in the end."""
    world = World(base / "world")
    seconds = undisturbed(partial(write, world, base / "whole.jsonl"))
    whole, moments, kills, tries = (base / "whole.jsonl").read_bytes(), Moments(0, seconds), 0, 0
    while kills < count and tries < 4 * count:
        tries += 1
        out = base / f"out{tries}.jsonl"
        if moments.kill(partial(write, world, out)):
            kills += 1
            undisturbed(partial(write, world, out))
            assert out.read_bytes() == whole, tries
    return {"killed": kills, "tries": tries}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)

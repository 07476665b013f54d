"""A folder of one-coloured pictures with triplets and chains about them, and a tiny model that is trained on them.

Run by test_cir_cot.py too: `python -m tests.lab.training.cot_samples FOLDER COUNT` kills the training COUNT times.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from tests.crashes import Moments, undisturbed
from tests.mllms.checkpoints import build_qwen3_vl

NAMES = (
    "red",
    "green",
    "blue",
    "yellow",
    "white",
    "black",
    "purple",
    "orange",
    "pink",
    "brown",
    "gray",
    "cyan",
)


def material(folder: Path) -> Path:
    """Pictures, triplets.jsonl, chains.jsonl (one in six asks without a reference), and a checkpoint in `start`."""
    folder.mkdir(parents=True)
    for name in NAMES:
        Image.new("RGB", (40, 32), name).save(folder / f"{name}.png")
    pairs = [(one, other) for one in NAMES for other in NAMES if one != other]
    chains = [_chain(one, other) for one, other in pairs]
    kept = ("reference", "text", "target", "distractors")
    _write(folder / "triplets.jsonl", [{key: each[key] for key in kept} for each in chains])
    words = [{**_chain(name, name), "reference": None, "caption": "a blank image"} for name in NAMES]
    _write(folder / "chains.jsonl", [*chains[::2], *words])
    build_qwen3_vl(folder / "start")
    return folder


def _chain(one: str, other: str) -> dict[str, Any]:
    beside = NAMES[(NAMES.index(other) + 1) % len(NAMES)]
    return {
        "reference": f"{one}.png",
        "text": f"make it {other}",
        "target": f"{other}.png",
        "distractors": [f"{beside}.png"] if beside != one else [],
        "caption": f"a {one} square",
        "reasoning": f"Modification: the square is {other}",
        "conclusion": f"a {other} square",
    }


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))


def command(folder: Path, out: Path, **options: Any) -> list[str]:
    """The command that trains for six steps."""
    given = {"align-steps": 3, "steps": 6, "groups": 3, "texts": 2, **options}
    return [
        *("train", "cir-cot", "--start", str(folder / "start"), "--triplets", str(folder / "triplets.jsonl")),
        *("--chains", str(folder / "chains.jsonl"), "--out", str(out)),
        *(word for name, value in given.items() for word in (f"--{name}", str(value))),
    ]


def train(folder: Path, out: Path) -> None:
    """Run it."""
    from imagescope_agent.cli import main
    from imagescope_agent.lab.training.embedders import cir_cot_calibrate

    cir_cot_calibrate.MOST = 1  # a model that has learnt nothing does not end its chains
    torch.set_num_threads(1)
    with redirect_stdout(io.StringIO()):  # the summary alone is printed
        assert main(command(folder, out, **{"save-every": 1})) == 0


def stopped(folder: str, out: str, steps: int) -> None:
    """Train adapters, and die after so many steps."""
    from imagescope_agent.cli import main
    from imagescope_agent.lab.training.embedders.cir_cot_trainer import CotTrainer

    advance = CotTrainer.advance

    def dying(self: Any) -> dict[str, float]:
        if self.step >= steps:
            os._exit(1)
        return advance(self)

    CotTrainer.advance = dying  # type: ignore[method-assign]
    main(command(Path(folder), Path(out), **{"lora": 2, "save-every": 1, "rate": 5e-3}))


def run(words: list[str]) -> int:
    """Run a command as one of several processes."""
    from imagescope_agent.cli import main
    from imagescope_agent.lab.training.embedders import cir_cot_calibrate
    from imagescope_agent.retrieval.embedders import cir_cot

    cir_cot_calibrate.MOST, cir_cot.MAX_CHAIN = 1, 8
    torch.set_num_threads(1)
    return main(words)


def kill(base: Path, count: int) -> dict[str, int]:
    """Kill the training and compare the weights that it ends with."""
    folder = material(base / "given")
    seconds = undisturbed(partial(train, folder, base / "whole"))
    whole, moments, kills = (base / "whole" / "model.safetensors").read_bytes(), Moments(0, seconds, 0.3), 0
    for number in range(4 * count):
        if kills == count:
            break
        out = base / f"out{number}"
        if moments.kill(partial(train, folder, out)):
            kills += 1
            undisturbed(partial(train, folder, out))
            assert (out / "model.safetensors").read_bytes() == whole, number
    return {"killed": kills}


if __name__ == "__main__" and sys.argv[1] == "run":
    sys.exit(run(json.loads(sys.argv[2])))
elif __name__ == "__main__":
    json.dump(kill(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)

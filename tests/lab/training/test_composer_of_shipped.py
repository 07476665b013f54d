"""Composers over the models that ship, by the command; a composer's card may be a stranger's, and names no code."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from imagescope_agent.api import index_folder
from imagescope_agent.cli import main
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.retrieval.embedders.composer_card import CARD, read_card


def test_the_models_that_ship_are_trained_over_and_then_over_again(tmp_path: Path, capsys: Any) -> None:
    make_world(tmp_path, 5, 60)
    folder, file, out = tmp_path / "images", tmp_path / "triplets.jsonl", tmp_path / "composer"
    index_folder(folder, profile="mini", captions="none", progress=False)
    ids = sorted(path.name for path in folder.glob("*.png"))
    lines = [{"reference": a, "text": "add a cat", "target": b} for a, b in pairwise(ids)]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    command = ["train", "composer", str(folder), "--triplets", str(file), "--steps", "3"]
    assert main([*command, "--out", str(out)]) == 0, capsys.readouterr().err
    assert read_card(out).embedder == "package:mini/clip"
    profile = (files("imagescope_agent") / "profiles" / "mini.toml").read_text()

    def again(composer: Path, name: str) -> int:
        own = tmp_path / f"{name}.toml"
        own.write_text(profile.replace('"package:mini/clip"', f'"composer:{composer}"'))
        return main([*command, "--profile", str(own), "--out", str(tmp_path / name)])

    assert again(out, "again") == 0, capsys.readouterr().err
    assert read_card(tmp_path / "again").embedder == "package:mini/clip"
    card = json.loads((out / CARD).read_text())
    strange = Path(shutil.copytree(out, tmp_path / "strange"))
    (strange / CARD).write_text(json.dumps(card | {"embedder": "antigravity:fly"}))
    assert again(strange, "third") == 2
    assert "of no kind of ours" in capsys.readouterr().err

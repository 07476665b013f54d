"""Composers over small checkpoints in real formats: trained by command, named in a profile, searched with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.embedders import composer_card as composers
from imagescope_agent.retrieval.embedders import identify, open_embedder
from imagescope_agent.services import open_services
from tests.lab.training.hues import hues, turns
from tests.mllms.checkpoints import build_qwen3_vl

PROFILE = """
embedder = "{embedder}"
[models.chat]
mllm = "scripted"
[roles]
captioner = "chat"
reasoner = "chat"
verifier = "chat"
judge = "chat"
"""
COUNT = 24


def profile(folder: Path, name: str, embedder: str) -> str:
    (folder / f"{name}.toml").write_text(PROFILE.format(embedder=embedder))
    return str(folder / f"{name}.toml")


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("open_clip", []),
        ("open_clip", ["--tokens"]),
        ("open_clip", ["--tokens", "--tune-text"]),
        ("multimodal", []),
        ("multimodal", ["--tokens"]),
    ],
)
def test_from_triplets_to_search_on_a_checkpoint(
    kind: str, how: list[str], make_clip: Callable[..., Path], tmp_path: Path, capsys: Any
) -> None:
    checkpoint = tmp_path / "checkpoint"
    if kind == "open_clip":
        make_clip(checkpoint)
    else:
        build_qwen3_vl(checkpoint)
    plain = profile(tmp_path, "plain", f"{kind}:{checkpoint}")
    pictures = hues(tmp_path / "pictures", open_embedder(f"{kind}:{checkpoint}"), COUNT).folder
    file, out = tmp_path / "triplets.jsonl", tmp_path / "composer"
    lines = (
        {"reference": f"{n:03d}.png", "text": f"a {word} house", "target": f"{(n + step) % COUNT:03d}.png"}
        for n in range(COUNT)
        for step, word in ((5, "red"), (11, "blue"))
    )
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    command = ["train", "composer", str(pictures), "--triplets", str(file), "--out", str(out)]
    assert main([*command, "--profile", plain, "--steps", "4", "--batch", "16", *how]) == 0
    assert "triplets.jsonl" in capsys.readouterr().out
    card = composers.read_card(out)
    assert card.embedder == f"{kind}:{checkpoint}"
    assert (bool(card.blocks), card.tuned) == ("--tokens" in how, "--tune-text" in how)
    assert card.composed is (kind == "multimodal" and not how)
    assert card.weights == open_embedder(f"{kind}:{checkpoint}").weights
    composed = profile(tmp_path, "composed", f"composer:{out}")
    search = ["search", str(pictures), "a red house", "--image", "003.png", "--graph", "mra", "--json"]
    assert main([*search, "--profile", composed]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "003.png" not in [each["id"] for each in found["results"]] and found["results"]
    assert not found["notes"]
    weights = open_services(composed, pictures).weights
    assert weights["embedder"] == card.weights
    assert weights["composer"] == open_embedder(f"composer:{out}").composer  # type: ignore[attr-defined]
    assert "composer" not in open_services(plain, pictures).weights
    make_clip(checkpoint, seed=1) if kind == "open_clip" else build_qwen3_vl(checkpoint, seed=1)
    with pytest.raises(Exception, match="other weights"):
        open_embedder(f"composer:{out}")


def test_over_an_embedder_of_another_package_it_is_opened_where_the_profile_names_that(
    tmp_path: Path, capsys: Any
) -> None:
    own, out = "tests.lab.training.hues:open_hues:here", tmp_path / "composer"
    pictures = hues(tmp_path / "pictures", count=COUNT).folder
    file = tmp_path / "triplets.jsonl"
    file.write_text("".join(json.dumps(vars(each)) + "\n" for each in turns(COUNT)))
    command = ["train", "composer", str(pictures), "--triplets", str(file), "--out", str(out), "--steps", "4"]
    assert main([*command, "--profile", profile(tmp_path, "plain", own)]) == 0
    assert f'embedder = "composer:DIR over {own}"' in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"of no kind of ours.*composer:.* over MODULE:ATTRIBUTE"):
        open_embedder(f"composer:{out}")
    spec = f"composer:{out} over {own}"
    assert identify(spec) == (open_embedder(own).weights, 12)
    search = ["search", str(pictures), "turn 30", "--image", "003.png", "--graph", "mra", "--json"]
    assert main([*search, "--profile", profile(tmp_path, "composed", spec)]) == 0
    assert json.loads(capsys.readouterr().out)["results"]


def test_a_composer_of_the_package_may_be_named_in_a_profile(tmp_path: Path) -> None:
    chosen = load_profile(profile(tmp_path, "shipped", "composer:package:mini/clip"))
    assert chosen.embedder.startswith("composer:/") and chosen.embedder.endswith("/mini/clip")


@pytest.mark.parametrize(
    "spec",
    [
        "own_module:opener",
        "own_module:opener:package:mini/clip",
        "package:own_module:opener",
        "composer:package:mini/clip",
        "own_module:package:opener",
        "open_clip:package:../../elsewhere",
        "package:../../elsewhere",
    ],
)
def test_a_strangers_card_names_no_code_and_no_folder_outside_the_package(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    module = f"open({str(ran)!r}, 'w').close()\ndef opener(place, *, device=None):\n    raise SystemExit\n"
    (tmp_path / "own_module.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    card = composers.ComposerCard(embedder=spec, weights="0", dimension=4, hidden=4)
    composers.write_card(tmp_path, card)
    with pytest.raises((BadInput, BackendUnavailable)):
        open_embedder(f"composer:{tmp_path}")
    assert not ran.exists()

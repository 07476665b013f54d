"""How right triplets are is read off the scene graphs, check by check, with what they cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.cli import main
from imagescope_agent.lab.benchmarks.triplets import CHECKS, describe, measure_triplets, run
from imagescope_agent.lab.scenes.world import Scene, Thing

HOUSE, STAR = (Thing(kind=kind, colour="red", size="small") for kind in ("house", "star"))
SCENES = {
    "both": Scene(things=(HOUSE, STAR), setting="night"),
    "house": Scene(things=(HOUSE,), setting="night"),
    "beach": Scene(things=(HOUSE, STAR), setting="beach"),
}
STEPS = {
    "propose": (1, 10),
    "understand": (1, 20),
    "predicates": (1, 20),
    "verify": (6, 60),
    "check": (2, 40),
}


def pair(text: str, target: str, dropped: str = "", **evidence: Any) -> dict[str, Any]:
    asked = list(STEPS)[: 5 if "orders" in evidence else 4 if "checks" in evidence else 1]
    return {
        "reference": "both",
        "proposal": {"target": target, "type": "Removal", "text": text},
        "evidence": evidence,
        "dropped": dropped,
        "triplet": None if dropped else {"text": text},
        "cost": {"steps": {step: dict(zip(("calls", "tokens"), STEPS[step], strict=True)) for step in asked}},
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    kept: dict[str, Any] = {"checks": 2, "fitting": [], "orders": [True, True]}
    pairs = [
        {"format": 1},
        pair("without the star", "house", **kept),
        pair("minus the star", "house", "not found", **{**kept, "orders": [True, False]}),
        pair("without the star", "beach", **{**kept, "fitting": ["other"]}),
        pair("without the star", "beach", "denied on the target", checks=2),
        pair("something nicer", "beach", "names several"),
        {
            "reference": "both",
            "proposal": None,
            "evidence": {},
            "dropped": "alone",
            "triplet": None,
            "cost": {},
        },
    ]
    (tmp_path / "t.jsonl.journal").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    scenes = ({"id": f"images/{name}", **asdict(scene)} for name, scene in SCENES.items())
    (tmp_path / "scenes.jsonl").write_text("".join(json.dumps(each) + "\n" for each in scenes))
    return tmp_path / "t.jsonl.journal", tmp_path / "scenes.jsonl"


def test_each_part_of_the_check_is_counted_with_its_cost(files: tuple[Path, Path]) -> None:
    found = measure_triplets(*files)
    assert found["no check"] == {"kept": 5, "right": 0.4, "unread": 1, "calls": 1.0, "tokens": 10.0}
    assert (found["clear words"]["kept"], found["clear words"]["unread"]) == (4, 0)
    asked = {"calls": (5 + 4 * 8) / 3, "tokens": (50 + 4 * 100) / 3}
    assert found["verified"] == {
        "kept": 3, "right": 0.6667, "unread": 0, **{name: round(each, 1) for name, each in asked.items()}
    }  # fmt: skip
    assert found["verified, one order"]["kept"] == 3
    assert found["verified, one order"]["tokens"] == round((450 + 3 * 20) / 3, 1)
    assert (found["verified, two orders"]["kept"], found["verified, two orders"]["right"]) == (2, 0.5)
    assert found["verified, two orders"]["calls"] == round((37 + 3 * 2) / 2, 1)
    assert (found["verified, two orders, fits no other"]["kept"], found["kinds"]) == (
        1,
        {"Removal": {"kept": 2, "right": 0.5}},
    )
    text = describe({"triplets": found})
    assert all(f"| {name} |" in text for name in CHECKS) and "Removal 50 % of 2" in text


def test_ids_may_be_of_the_folder_of_scenes_or_of_its_images(files: tuple[Path, Path]) -> None:
    before = measure_triplets(*files)
    text = files[0].read_text()
    for name in SCENES:
        text = text.replace(json.dumps(name), json.dumps(f"images/{name}"))
    files[0].write_text(text)
    assert "images/" in text and measure_triplets(*files) == before


def test_the_command_measures_a_file_beside_its_journal(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = files[0].with_suffix("")
    assert run(file=file, scenes=files[1])["triplets"] == measure_triplets(*files)
    assert main(["bench", "triplets", "--file", str(file), "--scenes", str(files[1])]) == 0
    assert "verified, two orders" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["no journal", "other scenes", "no JSON"])
def test_files_that_do_not_belong_together_are_one_line(
    files: tuple[Path, Path], damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage == "no journal":
        files[0].unlink()
    else:
        files[1].write_text('{"id": "images/x"}\n' if damage == "no JSON" else "{\n")
    file = files[0].with_suffix("")
    assert main(["bench", "triplets", "--file", str(file), "--scenes", str(files[1])]) == 2
    assert capsys.readouterr().err.count("\n") == 1

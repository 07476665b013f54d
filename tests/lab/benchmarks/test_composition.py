"""All ways are asked the same composed queries, and the table says what was asked and what it cost."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks.composition import describe, run
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_embedder_of
from tests.conftest import World


def test_the_table_names_every_way(tmp_path: Path) -> None:
    row = {"R@1": 40.0, "R@10": 80.5, "R@20": 90.0, "calls": 0.0, "tokens": 0.0, "queries": 300}
    made = {
        "methods": {"mean of the vectors": row},
        "kinds": {"mean of the vectors": {"addition": 50.0}},
        "triplets": {
            "no check": {"kept": 5, "right": 0.4, "unread": 1, "calls": 1.5, "tokens": 20.0},
            "kinds": {"Removal": {"kept": 4, "right": 0.75}},
        },
        "yield": {"kept": 2, "pairs": 6, "calls": 9, "tokens": 100, "dropped": {"not found": 4}},
    }
    text = describe(made)
    assert "| mean of the vectors | 40 | 80.5 | 90 | 0 | 0 | 300 |" in text
    assert "| no check | 5 | 40.0 | 1 | 1.5 | 20 |" in text and "Removal 75 % of 4" in text
    assert "2 triplets of 6 pairs" in text


PROFILE = """
embedder = "package:mini/clip"
[models.chat]
mllm = "scripted"
reply = "a picture"
[roles]
captioner = "chat"
reasoner = "chat"
verifier = "chat"
judge = "chat"
"""


class Sure:
    """An editor that names the first neighbour in words of its own, and others that know what it meant."""

    def __init__(self) -> None:
        self.meant: dict[str, str] = {}

    def edit(self, asked: Asked) -> str:
        text = f"edit {len(self.meant)}"
        self.meant[text] = asked.images[1]
        return json.dumps({"target": "A", "type": "Modification", "text": text})

    def reason(self, asked: Asked) -> str:
        found = re.search(r"edit \d+", asked.text)
        if found is None:
            return "hm"
        if '"predicates"' in asked.text:
            return json.dumps({"predicates": [{"question": f"Is it {found[0]}?", "expected": "Yes"}]})
        steps = [{"type": "Modification", "text": found[0]}]
        return json.dumps({"steps": steps, "core": found[0], "enhanced": found[0], "full": found[0]})

    def verify(self, asked: Asked) -> list[float]:
        found = re.search(r"edit \d+", asked.text)
        assert found is not None
        return [0.9, 0.1] if asked.images[0] == self.meant[found[0]] else [0.1, 0.9]

    def judge(self, asked: Asked) -> list[float]:
        found = re.search(r"edit \d+", asked.text)
        assert found is not None and asked.choices is not None
        target = self.meant[found[0]]
        labels = [label[0] for label in asked.labels if re.fullmatch("[A-Z]:", label)]
        best = labels[asked.images[1:].index(target)]
        return [0.9 if choice == best else 0.01 for choice in asked.choices]


@pytest.mark.slow
def test_all_ways_are_asked_the_same_queries(tmp_path: Path, world: World) -> None:
    (tmp_path / "own.toml").write_text(PROFILE)
    sure = Sure()
    services = replace(
        world.services(reasoner=Role("reasoner", Scripted(sure.reason))),
        embedder=open_embedder_of(load_profile(str(tmp_path / "own.toml"))),
        editor=Role("editor", Scripted(sure.edit)),
        judge=Role("judge", ScriptedScorer(sure.judge)),
        verifier=Role("verifier", ScriptedScorer(sure.verify)),
    )
    made = run(
        root=tmp_path / "kept",
        profile=str(tmp_path / "own.toml"),
        train_images=80,
        triplets=24,
        seeds=(1,),
        images=40,
        queries=6,
        words=2,
        services=services,
    )
    assert json.loads(json.dumps(made)) == made
    assert re.search(r"composer, \d+ agent triplets", describe(made))
    methods = made["methods"]
    assert [row["queries"] for row in methods.values()] == [6, 2, 6, 6]
    assert [row["calls"] > 0 for row in methods.values()] == [False, True, False, False]
    assert all(0 <= row["R@1"] <= row["R@10"] <= row["R@20"] <= 100 for row in methods.values())
    checked = made["triplets"]["verified, two orders"]
    assert checked["unread"] == checked["kept"] >= 24 and checked["right"] == 0


def test_what_is_evaluated_is_not_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput, match="--train-seed"):
        run(train_seed=4)
    assert main(["bench", "composition", "--train-seed", "4"]) == 2
    assert capsys.readouterr().err.count("\n") == 1

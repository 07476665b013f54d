"""What a query costs each graph: counted from real runs, and asking everything is what stopping early must equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks.graphs import run

INTENT = json.dumps(
    {"steps": [{"type": "Addition", "text": "red"}], "core": "red", "enhanced": "red", "full": "a red square"}
)
PREDICATES = json.dumps(
    {
        "predicates": [
            {"question": "Is it red?", "expected": "Yes"},
            {"question": "Is it blue?", "expected": "No"},
        ]
    }
)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two queries about one-coloured pictures, in the files of a drawn world."""
    text = {"qid": "1", "kind": "core", "text": "red", "targets": ["images/red.png"]}
    composed = {**text, "reference": "images/blue.png", "text": "make it red"}
    (tmp_path / "tir.jsonl").write_text(json.dumps(text) + "\n", encoding="utf-8")
    (tmp_path / "cir.jsonl").write_text(json.dumps(composed) + "\n", encoding="utf-8")
    return tmp_path


def test_stopping_early_saves_verdicts_and_changes_no_first_place(drawn: Path, world: Any) -> None:
    def look(asked: Any) -> list[float]:
        yes = world.colour(asked) in asked.text
        return [0.99, 0.01] if yes else [0.01, 0.99]

    reasoner = world.role("reasoner", lambda asked: PREDICATES if "Addition: red" in asked.text else INTENT)
    services = world.services(
        reasoner=reasoner,
        verifier=world.role("verifier", scorer=look),
        judge=world.role("judge", lambda asked: "Yes", scorer=lambda asked: [1.0] * len(asked.choices)),
    )
    made = run(root=drawn, queries=2, graphs=("imagescope", "adaptive"), services=services)
    assert json.dumps(made)
    early, whole = made["variants"]["adaptive"], made["variants"]["adaptive, first 20 certain"]
    assert early["right"] == whole["right"] == 1
    assert early["verdicts"] < whole["verdicts"] == 15  # two questions about eight and seven squares
    assert made["early_stop"]["first 1"]["same"] == made["early_stop"]["first 3"]["same"] == 1
    assert made["early_stop"]["first 1"]["saved"] == round(1 - early["verdicts"] / 15, 3)
    assert 0 < made["ratios"]["adaptive/imagescope"]["prompt_tokens"] < 1


def test_too_few_queries_are_bad_input(drawn: Path, capsys: Any) -> None:
    with pytest.raises(BadInput, match="holds 2 queries, not 3"):
        run(root=drawn, queries=3)
    assert main(["bench", "graphs", "--root", str(drawn / "none")]) == 2
    assert "scenes make" in capsys.readouterr().err

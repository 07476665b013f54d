"""Drawn triplets with exact chains of thought."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.data.drawn_chains import make_chains
from imagescope_agent.lab.training.embedders.cir_cot_data import read_examples
from imagescope_agent.training_data.triplet_files import read_triplets


def test_drawn_chains_are_exact_and_lead_to_their_targets(tmp_path: Path) -> None:
    assert make_chains(tmp_path / "a", 5, 3, side=32) == 21
    make_chains(tmp_path / "b", 5, 3, side=32)
    ids = [f"images/{path.name}" for path in sorted((tmp_path / "a" / "images").iterdir())]
    for name in ("triplets.jsonl", "chains.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    triplets = read_triplets(tmp_path / "a" / "triplets.jsonl", ids)
    examples = read_examples(triplets, tmp_path / "a" / "chains.jsonl", ids)
    assert len(triplets) == 9 and len(examples) == 15 and all(each.chain for each in examples)
    assert not any(each.target in each.distractors for each in examples)


def test_drawn_chains_leave_out_what_shall_be_measured_on(tmp_path: Path) -> None:
    make_chains(tmp_path, 5, 4, side=32, without=["removal", "purple", "cat"])
    lines = (tmp_path / "chains.jsonl").read_text(encoding="utf-8")
    composed = [json.loads(line) for line in lines.splitlines() if json.loads(line)["reference"]]
    assert len(composed) == 12 and "purple" not in lines and " cat" not in lines
    assert not any("Removal" in each["reasoning"] for each in composed)
    for without, told in (["pink"], "no 'pink'"), (["removal", "addition", "retention"], "must be left"):
        with pytest.raises(BadInput, match=told):
            make_chains(tmp_path / "refused", 5, 3, without=without)
    assert not (tmp_path / "refused").exists()

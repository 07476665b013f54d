from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.cli import main
from imagescope_agent.lab.benchmarks.verify import describe, run
from imagescope_agent.mllms.transformers_chat import TransformersChat


def test_counts_and_agreement(qwen3_vl: Path) -> None:
    made = run(
        model=TransformersChat(checkpoint=str(qwen3_vl), row_tokens=999), candidates=3, questions=2, repeats=1
    )
    variants = made["variants"]
    assert json.dumps(made) and made["bench"] == "verify"
    prefills = {name: variant["image_prefills"] for name, variant in variants.items()}
    assert prefills == {"published": 6, "batched": 6, "shared_prefix": 3, "shared_prefix_cached": 0}
    assert variants["shared_prefix"]["tokens"] < variants["batched"]["tokens"]
    assert variants["published"]["forwards"] >= 6 and variants["shared_prefix"]["forwards"] == 1
    sooner = variants["batched"]["seconds"] / variants["shared_prefix"]["seconds"]
    assert made["ratios"]["batched/shared_prefix"] == pytest.approx(sooner, rel=0.05, abs=0.02)


def test_a_made_up_model_is_measured_without_weights_on_disk(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "verify", "--random", "tiny", "--candidates", "2", "--questions", "2", "--repeats", "1"]
    assert main([*words, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["model"] == "random tiny" and made["ceiling_gflops"] > 0
    for name, variant in made["variants"].items():
        assert 0 < variant["of_ceiling"] < 1 and variant["verdicts_per_second"] > 0, name
    assert len(describe(made).splitlines()) == 2 + 4 + len(made["ratios"]) + 2

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.cli import main
from imagescope_agent.lab.benchmarks import gpu
from imagescope_agent.lab.benchmarks.random_model import SIZES
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


def test_a_made_up_model_is_measured_beside_plain_transformers(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "gpu", "--size", "tiny", "--candidates", "3", "--questions", "2", "--repeats", "1"]
    assert main([*words, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    (found,) = made["sizes"].values()
    prefills = {name: row["image_prefills"] for name, row in found["verdicts"].items()}
    assert prefills == {"shared_prefix": 3, "batched": 6, "published": 6}
    assert found["verdicts"]["shared_prefix"]["tokens"] < found["verdicts"]["batched"]["tokens"]
    assert all(0 < row["of_ceiling"] < 1 for row in found["verdicts"].values())
    assert set(found["first_token"]) == {"engine", "transformers"} and min(found["first_token"].values()) > 0
    assert found["memory"]["memory_gb"] > 0 and found["goal"] is None
    said = gpu.describe(made)
    assert "tiny: first token engine" in said and said.count("| tiny |") == 3


def test_the_sizes_are_those_that_are_published() -> None:
    def parameters(size: str) -> int:
        text = SIZES[size]["text_config"]
        width, heads = text["hidden_size"], text["num_attention_heads"] + 2 * text["num_key_value_heads"]
        attention = width * text["head_dim"] * (heads + text["num_attention_heads"])
        return int(text["num_hidden_layers"] * (attention + 3 * width * text["intermediate_size"]))

    assert 1.3e9 < parameters("2b") < 1.5e9 and 6.8e9 < parameters("8b") < 7.1e9

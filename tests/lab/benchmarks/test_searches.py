from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks.searches import run
from imagescope_agent.lab.scenes.make import make_world
from tests.lab.benchmarks.test_doctor import profile


@pytest.mark.slow
def test_searches_at_once_give_the_rankings_they_have_alone(qwen3_vl: Path, tmp_path: Path) -> None:
    make_world(tmp_path / "drawn", 3, 12)
    chosen = profile(
        tmp_path, f'mllm = "transformers"\ncheckpoint = "{qwen3_vl}"\nmax_tokens = 12', "package:mini/clip"
    )
    made = run(root=tmp_path / "drawn", profile=chosen, searches=8)
    assert json.dumps(made) and made["same_rankings"] == made["searches"] == 8
    assert made["images"] == 12
    assert made["ratio"] == round(made["seconds"]["alone"] / made["seconds"]["together"], 2)


def test_a_folder_without_scenes_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="scenes make"):
        run(root=tmp_path)

"""The plan for millions of images is arithmetic over what an image costs."""

from __future__ import annotations

import json

import pytest

from imagescope_agent.lab.benchmarks import scale


@pytest.mark.slow
def test_the_plan_grows_with_the_number_of_images_and_says_what_is_assumed() -> None:
    made = scale.run(images=8)
    assert json.dumps(made) and set(made["seconds"]) == {"read", "embed", "caption", "search"}
    assert made["calls"]["verifier"] > 0 and min(made["bytes"].values()) > 0
    small, large = made["plan"]["1000000"], made["plan"]["100000000"]
    assert small["vectors, GB"] == 4.1 and small["embed, GPU hours (cited)"] == 0.185
    for name, value in small.items():
        assert large[name] == pytest.approx(100 * value, rel=0.02), name
    assert "assumed" in scale.describe(made) and "cited" in scale.describe(made)

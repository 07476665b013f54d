"""The mini models say when nothing fits: the same queries before and after their pictures are taken out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.lab.scenes.make import make_world

pytestmark = pytest.mark.slow

SEED = 74  # neither fitted on nor trained on


def test_a_fulfilled_query_is_above_the_threshold_and_the_same_without_its_picture_below(
    tmp_path: Path,
) -> None:
    make_world(tmp_path, SEED, 40)
    lines = [json.loads(line) for line in (tmp_path / "tir.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [(line["text"], {name.removeprefix("images/") for name in line["targets"]}) for line in lines[:6]]
    images = tmp_path / "images"
    index_folder(images, profile="mini", progress=False)
    with_ = [ImageScope.open(images, runs=False).search(text) for text, _ in asked]
    right = [(query, found) for query, found in zip(asked, with_, strict=True) if found[0].id in query[1]]
    assert len(right) >= 3
    assert sum(not found.remarks for _, found in right) >= len(right) - 1
    gone = {name for _, targets in asked for name in targets}
    index_folder(images, only=frozenset(path.name for path in images.glob("*.png")) - gone, progress=False)
    without = [ImageScope.open(images, runs=False).search(text) for text, _ in asked]
    assert sum(bool(found.remarks) for found in without) >= len(without) - 1
    assert all("Nothing fits everything" in found.remarks[0] for found in without if found.remarks)
    means = [sum(found.fulfilment or 0 for found in each) / len(each) for each in (with_, without)]
    assert means[0] > means[1] + 0.3

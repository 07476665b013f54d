"""Drawn queries with several references: true of their scenes, and of no reference."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets import scenes as dataset
from imagescope_agent.lab.scenes.conditions import satisfies
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.scenes.multi_queries import MULTI_KINDS, multi_lines, multi_query
from imagescope_agent.lab.scenes.world import random_scene

SCENES = [random_scene(Random(number)) for number in range(150)]


@pytest.mark.parametrize("kind", MULTI_KINDS)
def test_a_query_is_true_of_others_than_its_references(kind: str) -> None:
    for seed in range(20):
        query = multi_query(SCENES, kind, Random(seed))
        assert query is not None and query.kind == kind
        right = [number for number, scene in enumerate(SCENES) if satisfies(scene, query.conditions)]
        assert right and not set(right) & set(query.references)
        assert len(query.references) == (3 if kind == "things of three" else 2)
        assert all(f"image {number}" in query.text for number in range(1, len(query.references) + 1))
        assert "image" not in query.single


def test_what_a_reference_gives_is_the_only_thing_of_its_kind_there() -> None:
    for seed in range(20):
        query = multi_query(SCENES, "things", Random(seed))
        assert query is not None
        for condition, number in zip(query.conditions, query.references, strict=True):
            wanted = condition.pattern  # type: ignore[attr-defined]
            found = [thing for thing in SCENES[number].things if thing.kind == wanted.kind]
            assert [thing.colour for thing in found] == [wanted.colour]


def test_scenes_that_allow_none_give_none() -> None:
    assert list(multi_lines(SCENES[:1], ["a.png"], 4, Random(0))) == []


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: Any) -> Path:
    root: Path = tmp_path_factory.mktemp("drawn") / "world"
    make_world(root, 3, 60)
    return root


def test_a_world_has_them_with_a_twin_of_one_reference(drawn: Path) -> None:
    several, single = (dataset.load(drawn, split=split).queries for split in ("multi", "single"))
    assert [query.qid for query in several] == [query.qid for query in single] and several
    for one, other in zip(several, single, strict=True):
        assert one.relevant == other.relevant and one.reference == other.reference
        assert len(one.references) > 1 and other.references == () and one.text != other.text


@pytest.mark.parametrize(
    "change, told",
    [
        ({"references": ["images/000000.png"]}, "several references"),
        ({"targets": []}, "a target"),
        ({"references": ["images/000000.png", "images/999999.png"]}, "does not exist"),
    ],
)
def test_damaged_lines_are_told(drawn: Path, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    root = tmp_path / "world"
    root.mkdir()
    (root / "images").symlink_to(drawn / "images")
    record = json.loads((drawn / "multi.jsonl").read_text().splitlines()[0])
    (root / "multi.jsonl").write_text(json.dumps({**record, "targets": ["images/000001.png"], **change}))
    with pytest.raises(BadInput, match=told):
        dataset.load(root, split="multi")

"""Pictures of what is not wanted, on every graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.graphs.imagescope_runs import ALL, kinds
from tests.graphs.picture_runs import NAMES, search, services


@pytest.mark.parametrize("name", NAMES)
def test_what_looks_like_an_unlike_picture_falls_in_every_graph(world: Any, name: str) -> None:
    penalty = 0.5
    plain = search(services(world, []), name, query="a red square", k=8)
    state = search(
        services(world, []), name, query="a red square", unlike=["orange.png"], penalty=penalty, k=8
    )
    assert "orange.png" not in state["ranking"] and sorted([*state["ranking"], "orange.png"]) == ALL
    vectors = {each: world.collection.image_vector(each).ravel() for each in ALL}
    before = {each["id"]: each["retrieve"] for each in plain["candidates"]}
    for each in state["candidates"]:
        shared = max(0.0, float(vectors[each["id"]] @ vectors["orange.png"]))
        assert each["retrieve"] == pytest.approx(before[each["id"]] - penalty * shared, abs=1e-5)


@pytest.mark.parametrize("name", ["xr", "cir_cot"])
def test_a_file_may_be_unlike_where_similarities_are_no_cosines_of_words(
    world: Any, tmp_path: Path, name: str
) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32), (221, 31, 31)).save(tmp_path / "like-red.png")
    ways = [{}, {"unlike": [str(tmp_path / "like-red.png")], "penalty": 1.0}]
    plain, state = (search(services(world, []), name, query="a red square", k=8, **way) for way in ways)
    assert sorted(plain["ranking"]) == sorted(state["ranking"]) == ALL
    assert plain["ranking"].index("red.png") < state["ranking"].index("red.png")


def test_a_file_may_be_unlike_and_what_lies_deeper_takes_the_place(world: Any, tmp_path: Path) -> None:
    from PIL import Image

    like_red = tmp_path / "like-red.png"
    Image.new("RGB", (32, 32), (221, 31, 31)).save(like_red)
    found = search(services(world, []), "retrieve", query="a red or orange square", k=2, top_k=0)
    assert found["ranking"][0] in ("red.png", "orange.png")
    state = search(
        services(world, []),
        "retrieve",
        query="a red or orange square",
        unlike=[str(like_red)],
        penalty=1.0,
        k=2,
        top_k=0,
    )
    assert "red.png" not in state["ranking"] and len(state["ranking"]) == 2


def test_a_reference_that_is_also_unlike_stays_a_reference(world: Any) -> None:
    brought = ["red.png", "blue.png"]
    plain = search(services(world, [1, 2]), references=brought)
    both = search(services(world, [1, 2]), references=brought, unlike=["blue.png"], penalty=1.0)
    assert both["ranking"] == plain["ranking"] and both["unlike"] == []
    assert kinds(both)[0] == ("begin", "contradiction")

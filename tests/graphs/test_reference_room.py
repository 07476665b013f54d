"""References that are shown: as many as fit beside a judge's candidates, each content once; numbers without one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.state import references_of
from tests.graphs.imagescope_runs import kinds
from tests.graphs.picture_runs import pictured, reference_names, search, services


def test_a_judge_of_few_pictures_gets_the_references_that_are_named(world: Any) -> None:
    served = services(world, [4], seen=4, limit=3)
    state = search(served, references=reference_names(5), alpha=2)
    asked = served.judge.model.asked
    assert asked and all(len(each.images) <= 3 for each in asked)
    assert asked[0].labels == ("Reference 1:", "Reference 4:", "Candidate:")  # `pairwise` shows one candidate
    left = [note["detail"] for note in state["notes"] if note["step"] == "judge"]
    assert "the model takes 3 pictures in a request; reference 2, 3, 5 is not shown to it" in left


@pytest.mark.parametrize(
    ("judge", "shown"), [("pairwise", 3), ("pointwise", 3), ("prp-heap", 2), ("tournament", 1), ("grid", 5)]
)
def test_as_many_references_as_fit_beside_what_a_judge_shows_at_once(
    world: Any, judge: str, shown: int
) -> None:
    served = services(world, [4], seen=4, limit=4)
    state = search(served, references=reference_names(5), judge=judge)
    left = [each["detail"] for each in state["notes"] if "is not shown to it" in each["detail"]]
    assert served.judge.model.asked
    assert sum(map(str.isdigit, left[0].partition("; ")[2])) == 5 - shown if left else shown == 5


def test_a_file_that_is_another_again_takes_no_room(world: Any, tmp_path: Path) -> None:
    brought = [pictured(tmp_path / name, (140, 30, 200)) for name in ("a.png", "b.png")]
    served = services(world, [3], seen=3, limit=3)
    search(served, references=[*brought, "red.png"])
    assert served.judge.model.asked[0].labels == ("Reference 1:", "Reference 3:", "Candidate:")


@pytest.mark.parametrize(
    ("query", "references", "absent"),
    [
        ("the house of image 1 and the heart of image 3", ["red.png", "blue.png"], "3, and there are 2"),
        ("as in photo 2", ["red.png"], "2, and there is 1"),
        ("the boat of image 2", [], "2, and there are none"),
        ("the square of image 2", ["red.png", "blue.png"], ""),
        ("picture 3 boats", [], ""),
        ("like image 12.png", [], ""),
        ("a square, image 16:9", [], ""),
    ],
)
def test_a_number_that_no_reference_has_is_told(
    world: Any, query: str, references: list[str], absent: str
) -> None:
    state = search(services(world, []), query=query, references=references)
    told = [
        each["detail"] for each in state["notes"] if each["kind"] == "unchecked" and "names" in each["detail"]
    ]
    assert told == ([f"the query names reference {absent}"] if absent else [])


def test_equal_files_are_described_once(world: Any, tmp_path: Path) -> None:
    brought = [pictured(tmp_path / name, (140, 30, 200)) for name in ("a.png", "b.png")]
    served = replace(
        services(world, [1, 2]), captioner=world.role("captioner", lambda asked: "a purple square")
    )
    state = search(served, references=brought)
    assert len(served.captioner.model.asked) == 1
    assert len(state["reference_captions"]) == 2 == len(references_of(state))


def test_two_files_of_one_content_are_shown_once(world: Any, tmp_path: Path) -> None:
    from PIL import Image

    one, other = tmp_path / "one.png", tmp_path / "other.png"
    Image.new("RGB", (32, 32), (200, 10, 90)).save(one)
    shutil.copy(one, other)
    served = services(world, [1, 2])
    plain, twice = (
        search(services(world, []), "retrieve", references=brought)
        for brought in ([str(one)], [str(one), str(other)])
    )
    assert plain["ranking"] == twice["ranking"]
    state = search(served, references=[str(one), str(other)])
    assert ("begin", "skipped") in kinds(state)
    assert served.judge.model.asked[0].labels == ("Reference 1:", "Candidate:")

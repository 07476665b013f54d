"""The grid judge shows one picture whose cells are the candidates under their numbers."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.judges.grid import CELL, MARK, draw_grid, judge
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Scripted

COLOURS = {"a": (250, 0, 0), "b": (0, 250, 0), "c": (0, 0, 250), "d": (0, 0, 0)}


def picture(name: str, size: tuple[int, int] = (40, 40)) -> ImageRef:
    buffer = io.BytesIO()
    Image.new("RGB", size, COLOURS[name]).save(buffer, "PNG")
    return ImageRef(key=name, data=buffer.getvalue())


def pixels(ref: ImageRef) -> Any:
    return np.asarray(Image.open(io.BytesIO(ref.data)).convert("RGB")).astype(int)


def middle(shown: Any, row: int, column: int) -> Any:
    return shown[row * (CELL + MARK) + MARK + CELL // 2, column * CELL + CELL // 2]


def test_every_candidate_fills_its_cell_and_has_a_number_above_it() -> None:
    found, notes = draw_grid({"R": picture("d"), "1": picture("a"), "2": picture("b"), "3": picture("c")})
    shown = pixels(found)
    assert (shown.shape, notes) == ((2 * (CELL + MARK), 2 * CELL, 3), [])
    for place, name in enumerate("dabc"):
        row, column = divmod(place, 2)
        assert np.abs(middle(shown, row, column) - COLOURS[name]).max() < 12
        strip = shown[row * (CELL + MARK) :][:MARK, column * CELL :][:, :CELL]
        assert strip.min() < 60 < 250 < strip.max()  # black on white
    other, _ = draw_grid({"1": picture("b"), "2": picture("a")})
    assert other.key != draw_grid({"1": picture("a"), "2": picture("b")})[0].key


def test_a_wide_picture_keeps_its_shape() -> None:
    shown = pixels(draw_grid({"1": picture("c", (400, 100))})[0])
    inked = np.abs(shown[MARK:] - COLOURS["c"]).max(axis=2) < 12
    assert abs(inked.any(axis=0).sum() / inked.any(axis=1).sum() - 4) < 0.2


def test_a_damaged_picture_leaves_its_cell_empty_with_a_note() -> None:
    found, notes = draw_grid({"1": picture("a"), "2": ImageRef(key="x", data=b"\xff\xd8cut")})
    assert [each["kind"] for each in notes] == ["skipped"] and "cell 2" in notes[0]["detail"]
    assert (middle(pixels(found), 0, 1) > 245).all()


def test_reference_and_candidates_are_one_picture_in_one_request() -> None:
    model = Scripted(lambda asked: '{"order": [3, 1, 2]}')
    role = Role("judge", model)
    task = Task(query="the same in red", reference=picture("d"), model=role)
    candidates = [Candidate(id=name, image=picture(name), text=f"said of {name}") for name in "abc"]
    found = asyncio.run(judge(task, candidates))
    assert (found.order, list(found.notes)) == (["c", "a", "b"], [])
    (asked,) = model.asked
    assert asked.images == ("grid:R=d a b c",)
    assert "the same in red" in asked.text and "3: said of c" in asked.text


@pytest.mark.parametrize(
    ("said", "order", "kind"), [("[2, 4]", "bdac", "repaired"), ("[4]", "abcd", "unreadable")]
)
def test_a_reply_that_names_fewer_than_half_of_the_cells_decides_nothing(
    said: str, order: str, kind: str
) -> None:
    model = Role("judge", Scripted(lambda asked: f'{{"order": {said}}}'))
    shown = [Candidate(id=name, image=picture(name)) for name in "abcd"]
    found = asyncio.run(judge(Task(query="q", model=model), shown))
    assert "".join(found.order) == order and [each["kind"] for each in found.notes] == [kind]


def test_every_reference_has_a_cell_under_its_number() -> None:
    model = Scripted(lambda asked: '{"order": [2, 1]}')
    task = Task(
        query="the first as the third", reference=picture("d"), further=(picture("c"),), numbers=(1, 3),
        model=Role("judge", model),
    )  # fmt: skip
    found = asyncio.run(judge(task, [Candidate(id=name, image=picture(name)) for name in "ab"]))
    (asked,) = model.asked
    assert found.order == ["b", "a"] and asked.images == ("grid:R1=d R3=c a b",)
    assert asked.text.startswith("The picture begins with several references, in the cells under R1, R3;")
    assert "The reference images come first" not in asked.text


def test_the_same_pictures_under_other_marks_are_another_grid() -> None:
    one, other = (draw_grid({mark: picture("a"), "1": picture("b")})[0].key for mark in ("R", "R2"))
    assert len({one, other, draw_grid({"1": picture("a"), "2": picture("b")})[0].key}) == 3

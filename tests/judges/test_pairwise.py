"""ImageScope's judge: the first Yes wins, nothing is lost, every unreadable reply is noted."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagescope_agent.judges.base import Candidate, Judgement, Task, blank_image
from imagescope_agent.judges.pairwise import judge
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Scripted


def candidates(count: int) -> list[Candidate]:
    return [
        Candidate(id=f"{number}.png", image=ImageRef(key=str(number), data=b"\x89PNG"))
        for number in range(count)
    ]


def judged(reply: Any, count: int, **task: Any) -> tuple[Judgement, list[Any]]:
    model = Scripted(reply)
    asked = Task(query="a red boat", model=Role("judge", model), **task)
    return asyncio.run(judge(asked, candidates(count))), model.asked


def ids(*numbers: int) -> list[str]:
    return [f"{number}.png" for number in numbers]


def test_an_oracle_brings_the_right_one_to_the_top_and_the_rest_keep_their_order() -> None:
    found, asked = judged(lambda asked: "Yes: it is" if asked.images[-1] == "2" else "No: it is not", 5)
    assert found.order == ids(2, 0, 1, 3, 4)
    assert found.scores == {"0.png": 0.0, "1.png": 0.0, "2.png": 1.0}
    assert found.reasons["2.png"] == ["Yes: it is"]
    assert len(asked) == len(found.usage) == 3


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize(("reply", "calls"), [("Yes", 1), ("No", 7), ("hm", 7)])
def test_constant_replies_keep_the_order(count: int, reply: str, calls: int) -> None:
    found, asked = judged(reply, count)
    assert found.order == ids(*range(count))
    assert len(asked) == min(calls, count)
    assert len(found.notes) == (count if reply == "hm" else 0)


def test_the_reference_stands_first_and_a_blank_one_where_there_is_none() -> None:
    _, asked = judged("No", 1)
    assert asked[0].images == (blank_image().key, "0")
    _, asked = judged("No", 1, reference=ImageRef(key="reference", data=b"\x89PNG"))
    assert asked[0].images == ("reference", "0")


def test_the_blank_image_is_a_white_picture() -> None:
    with Image.open(io.BytesIO(blank_image().data)) as image:
        assert image.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 9])
def test_the_budget_holds(budget: int) -> None:
    found, asked = judged("No", 3, budget=budget)
    assert len(asked) == min(3, budget)
    assert [note["kind"] for note in found.notes] == (["budget"] if budget < 3 else [])


@given(st.lists(st.sampled_from(["Yes", "No: why", "", "Yes and no", "maybe", "{}", "No"]), max_size=6))
def test_whatever_is_replied_the_order_is_a_permutation(replies: list[str]) -> None:
    found, asked = judged(replies, len(replies))
    assert sorted(found.order) == ids(*range(len(replies)))
    assert set(found.scores) | {note["detail"].split("'")[1] for note in found.notes} == set(
        ids(*range(len(asked)))
    )

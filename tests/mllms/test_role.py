from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from imagescope_agent.mllms.role import ImageRef, Request, Role, first_choice
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer

PICTURE = ImageRef("k1", b"\x89PNG....")


class Answer(BaseModel):
    word: str


def test_ask_keeps_the_order_and_counts() -> None:
    model = Scripted(lambda asked: asked.text.upper())
    replies = asyncio.run(
        Role("captioner", model).ask(
            [Request(text="a", images=(PICTURE,)), Request(text="b c")], max_tokens=7
        )
    )
    assert [reply.text for reply in replies] == ["A", "B C"]
    assert replies[0].usage["image_prefills"] == 1 and replies[1].usage["prompt_tokens"] == 2
    assert [asked.images for asked in model.asked] == [("k1",), ()]
    assert model.asked[0].options == {"max_tokens": 7}


def test_ask_nothing_costs_nothing() -> None:
    model = Scripted([])
    assert asyncio.run(Role("x", model).ask([])) == []
    assert asyncio.run(Role("x", model).choose([], ["a", "b"])).usage["calls"] == 0


def test_schema_is_passed_on_or_noted() -> None:
    model = Scripted("{}")
    reply = asyncio.run(Role("reasoner", model).ask([Request(text="q")], schema=Answer))[0]
    assert model.asked[0].options == {"response_format": "Answer"} and not reply.notes
    plain = Scripted("{}", schema=False)
    reply = asyncio.run(Role("reasoner", plain).ask([Request(text="q")], schema=Answer))[0]
    assert [note["kind"] for note in reply.notes] == ["fallback"] and reply.notes[0]["step"] == "reasoner"


def test_choose_with_probabilities() -> None:
    model = ScriptedScorer(lambda asked: [3, 1] if "red" in asked.text else [0, 2])
    choice = asyncio.run(
        Role("verifier", model).choose([Request(text="red?"), Request(text="b")], ["Yes", "No"])
    )
    assert choice.probabilities == [[0.75, 0.25], [0.0, 1.0]]
    assert not choice.notes and choice.usage["calls"] == 2
    assert model.asked[0].choices == ("Yes", "No")


def test_choose_without_probabilities_reads_text() -> None:
    model = Scripted(["yes, it is", "I cannot tell", "No."])
    requests = [Request(text=str(n)) for n in range(3)]
    choice = asyncio.run(Role("verifier", model).choose(requests, ["Yes", "No"]))
    assert choice.probabilities == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    assert [note["kind"] for note in choice.notes] == ["fallback", "unreadable"]
    assert choice.usage["calls"] == 3


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("Yes", 0),
        ("**No**: because", 1),
        ("nothing", None),
        ("", None),
        ("noon", None),
        ("yes", 0),
        ("10", 3),
        ("1", 2),
    ],
)
def test_first_choice(text: str, index: int | None) -> None:
    assert first_choice(text, ["Yes", "No", "1", "10"]) == index

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from imagescope_agent.errors import BackendUnavailable, RequestRefused, UnreadableReply
from imagescope_agent.mllms.protocols import Attention, Choice, Embedding
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


def ask(replies: Any, count: int) -> Any:
    return asyncio.run(Role("judge", Scripted(replies)).ask([Request(text=str(n)) for n in range(count)]))


def test_a_refused_request_does_not_call_off_the_others() -> None:
    replies = ask(
        ["a", RequestRefused("no such picture"), UnreadableReply("odd", usage={"prompt_tokens": 4}), "d"], 4
    )
    assert [reply.text for reply in replies] == ["a", "", "", "d"]
    assert [type(reply.problem) for reply in replies[1:3]] == [RequestRefused, UnreadableReply]
    assert [reply.usage["calls"] for reply in replies] == [1, 0, 1, 1]
    assert replies[2].usage["prompt_tokens"] == 4


def test_where_every_request_is_refused_it_is_raised() -> None:
    with pytest.raises(RequestRefused, match="no such picture"):
        ask([UnreadableReply("odd"), RequestRefused("no such picture")], 2)
    with pytest.raises(UnreadableReply, match="odd"):
        ask([UnreadableReply("odd")], 1)


def test_a_backend_that_is_away_ends_all() -> None:
    with pytest.raises(BackendUnavailable):
        ask(["a", BackendUnavailable("away")], 2)


def test_a_reply_of_parts_and_thoughts_is_its_text() -> None:
    parts: list[Any] = [
        {"type": "thinking", "thinking": "no"},
        {"type": "text", "text": "<think>no</think>yes"},
    ]
    assert ask([AIMessage(content=parts)], 1)[0].text == "yes"


def test_a_reply_that_was_cut_off_before_it_began_says_so() -> None:
    cut = AIMessage(content="<think>so", response_metadata={"finish_reason": "length"})
    requests = [Request(text="a"), Request(text="b")]
    replies = asyncio.run(Role("captioner", Scripted([cut, "b"])).ask(requests, max_tokens=7))
    assert "cut off at max_tokens (7)" in str(replies[0].problem)


def test_what_was_kept_back_is_refused() -> None:
    kept = AIMessage(content="", response_metadata={"finish_reason": "content_filter"})
    assert isinstance(ask([kept, "b"], 2)[0].problem, RequestRefused)


@pytest.mark.parametrize("usage", ["many", {"input_tokens": float("nan"), "output_tokens": -1}, [3]])
def test_odd_usage_counts_nothing(usage: Any) -> None:
    message = AIMessage(content="a", response_metadata={"notes": ["x", {"kind": 1}], "image_prefills": "y"})
    object.__setattr__(message, "usage_metadata", usage)
    reply = ask([message], 1)[0]
    assert (reply.usage["prompt_tokens"], reply.usage["completion_tokens"], reply.notes) == (0, 0, [])


def test_text_verdicts_that_are_refused_are_told_by_their_row() -> None:
    requests = [Request(text=str(n)) for n in range(3)]
    role = Role("verifier", Scripted(["Yes", RequestRefused("filtered"), UnreadableReply("odd")]))
    choice = asyncio.run(role.choose(requests, ["Yes", "No"]))
    assert choice.probabilities == [[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]
    assert choice.refused == {1: "filtered"}
    assert [note["kind"] for note in choice.notes] == ["fallback", "unreadable"]


class Scorer(Scripted):
    """Gives what it is told to."""

    given: Any = None

    def __init__(self, given: Any = None) -> None:
        super().__init__("", given=given)

    async def ascore(self, messages: Any, choices: Any) -> Any:
        return self.given(len(messages)) if callable(self.given) else self.given

    async def aattention(self, messages: Any) -> Any:
        return self.given

    async def aembed(self, messages: Any) -> Any:
        return self.given


def rows(*given: Any, count: int = 2, usage: Any = None) -> Choice:
    model = Scorer(Choice(probabilities=list(given), usage=usage))
    requests = [Request(text=str(n)) for n in range(count)]
    return asyncio.run(Role("verifier", model).choose(requests, ["Yes", "No"]))


@pytest.mark.parametrize(
    "bad",
    [[], None, "Yes", ["a", "b"], ["0.5", "0.5"], [math.nan, 1.0], [-0.5, 1.5], [1.0], [0.2, 0.3, 0.5], [0.0, 0.0],
     [math.inf, 0.0], [1e308, 1e308], [3.0, 4.0], [True, False], [10**400, 1], {}, [[1.0], [0.0]], [0.1, 0.2]],
    ids=str,
)  # fmt: skip
def test_a_row_that_says_nothing_is_even_and_noted(bad: Any) -> None:
    choice = rows([0.75, 0.25], bad, usage="many")
    assert choice.probabilities == [[0.75, 0.25], [0.5, 0.5]]
    assert [note["kind"] for note in choice.notes] == ["unreadable"]
    assert choice.usage["calls"] == 2 and choice.usage["prompt_tokens"] == 0


@pytest.mark.parametrize("given", [None, "x", Choice(probabilities=[[1.0, 0.0]], usage={}), [[1.0, 0.0]] * 2])
def test_rows_that_belong_to_no_request_are_believed_for_none(given: Any) -> None:
    role = Role("verifier", Scorer(given))
    choice = asyncio.run(role.choose([Request(text="a"), Request(text="b")], ["Yes", "No"]))
    assert choice.probabilities == [[0.5, 0.5]] * 2
    assert [note["kind"] for note in choice.notes] == ["unreadable"]


def test_shares_of_all_that_could_be_said_are_believed_where_they_are_large() -> None:
    choice = rows([0.6, 0.2], np.asarray([0.3, 0.1], dtype=np.float32))
    assert choice.probabilities[0] == pytest.approx([0.75, 0.25])
    assert choice.probabilities[1] == [0.5, 0.5] and len(choice.notes) == 1
    assert rows(np.asarray([0.75, 0.25]), [0.5, 0.5]).notes == []


def test_a_batch_that_is_refused_as_a_whole_shows_which_request_is_to_blame() -> None:
    class Picky(Scorer):
        async def ascore(self, messages: Any, choices: Any) -> Any:
            if any("5" in str(each) for each in messages):
                raise ValueError("absolute aspect ratio must be smaller than 200")
            return Choice(probabilities=[[0.9, 0.1]] * len(messages), usage={"prompt_tokens": len(messages)})

    requests = [Request(text=str(n)) for n in range(9)]
    choice = asyncio.run(Role("verifier", Picky()).choose(requests, ["Yes", "No"]))
    assert list(choice.refused) == [5] and "aspect ratio" in choice.refused[5]
    assert choice.probabilities == [[0.9, 0.1]] * 5 + [[0.5, 0.5]] + [[0.9, 0.1]] * 3
    assert (choice.usage["calls"], choice.usage["prompt_tokens"]) == (8, 8)


def test_refused_rows_of_a_scorer_are_no_verdicts() -> None:
    model = Scorer(Choice(probabilities=[[0.9, 0.1]] * 2, usage={}, refused={1: "filtered", 7: "x"}))
    choice = asyncio.run(
        Role("verifier", model).choose([Request(text="a"), Request(text="b")], ["Yes", "No"])
    )
    assert choice.probabilities == [[0.9, 0.1], [0.5, 0.5]] and choice.refused == {1: "filtered"}
    assert choice.notes == [] and choice.usage["calls"] == 1


@pytest.mark.parametrize(
    "pictures",
    [None, [], [[0.1]], [[0.1], [math.nan]], [[0.1], []], [[0.1], "x"], [0.1, 0.2], [[0.1], [1e39]]],
)
def test_odd_attention_is_an_error_of_ours(pictures: Any) -> None:
    model = Scorer(Attention(pictures=pictures, usage={}))
    with pytest.raises(UnreadableReply, match="attention"):
        asyncio.run(Role("judge", model).attend([Request(text="a", images=(PICTURE, PICTURE))]))


@pytest.mark.parametrize(
    "vectors",
    [None, [], [[1.0]], [[1.0], [1.0, 2.0]], [[1.0], [math.inf]], [[1.0], [0.0]], ["a", "b"], [[1.0], []]],
)
def test_odd_vectors_are_an_error_of_ours(vectors: Any) -> None:
    model = Scorer(Embedding(vectors=vectors, usage={}))
    with pytest.raises(UnreadableReply, match="vector"):
        asyncio.run(Role("judge", model).embed([Request(text="a"), Request(text="b")]))

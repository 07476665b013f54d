"""Answers of every shape: an error in HTTP 200 is an error, odd fields cost nothing, a cut reply says so."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any

import pytest

from imagescope_agent.errors import (
    RequestRefused,
    UnreadableReply,
)
from imagescope_agent.mllms.openai.responses import first_token_probabilities, token_counts, written
from imagescope_agent.mllms.role import Request, Role
from tests.mllms import quirks
from tests.mllms.scripted_answers import Script, completion
from tests.mllms.server import FakeServer, Raw
from tests.mllms.test_endpoint_dialect import Whole, details, endpoint, run, score, write


@pytest.mark.parametrize(
    "content",
    [
        b'{"choices": [{"message": {"content": "caf\xe9"}}]}',
        b"[" * 100_000 + b"]" * 100_000,
        [1, 2],
        "text",
        17,
        None,
        {},
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "Yes"}]},
        {"choices": [{"message": ["Yes"]}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": {"text": "Yes"}}}]},
        Raw(content=b"no gzip", headers={"content-encoding": "gzip"}),
        Raw(content=gzip.compress(b"{}" * 500, mtime=0)[:-20], headers={"content-encoding": "deflate"}),
    ],
    ids=lambda content: repr(content)[:40],
)
def test_what_is_no_chat_completion_is_unreadable(content: Any) -> None:
    with FakeServer(quirk=Script(content, content)) as server:
        model = endpoint(server)
        with pytest.raises(UnreadableReply) as caught:
            write(model)
        assert "\n" not in str(caught.value)
        assert list(score(model, 1).refused) == [0]


ODD: list[Any] = ["many", [], math.nan, 1.5e300, -3, None, True]


@pytest.mark.parametrize(
    "usage",
    [*ODD, [7], *({"prompt_tokens": each, "completion_tokens": each} for each in ODD)],
    ids=repr,
)
def test_odd_usage_counts_nothing(usage: Any) -> None:
    assert token_counts({"usage": usage}) == (0, 0)
    with FakeServer(quirk=Script({**completion("a"), "usage": usage})) as server:
        found = write(endpoint(server))
        assert found.text == "a" and found.usage_metadata["total_tokens"] == 0


def test_a_number_of_thousands_of_digits_is_no_reason_to_lose_the_reply() -> None:
    body = json.dumps(completion("a")).replace('"prompt_tokens": 5', '"prompt_tokens": ' + "9" * 6000)
    with FakeServer(quirk=Script(Raw(content=body.encode()))) as server:
        found = write(endpoint(server))
        assert found.text == "a" and found.usage_metadata["input_tokens"] == 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}], "b"),
        ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "b"}], "b"),
        (["a", "b"], "ab"),
        ([{"type": "text", "text": None}, 5, None], ""),
        (None, ""),
    ],
)
def test_the_text_parts_of_content_are_joined(content: Any, text: str) -> None:
    assert written(completion(content)).text == text


@pytest.mark.parametrize(
    "answer",
    [
        completion(None, "length"),
        completion("", "length", reasoning_content="I think"),
        completion("<think>so many tho", "length"),
        completion('{"word": "house", "parts": [{"na', "length"),
    ],
    ids=["null", "thoughts", "open thoughts", "half JSON"],
)
def test_a_reply_that_was_cut_off_is_asked_for_once_more_and_told_as_that(answer: Any) -> None:
    schema = Whole if "{" in str(answer["choices"][0]["message"]["content"]) else None
    with FakeServer(quirk=Script(answer, completion('{"word": "a"}'))) as server:
        found = write(endpoint(server), schema)
        assert found.text == '{"word": "a"}' and found.usage_metadata["input_tokens"] == 10
        assert [body["max_tokens"] for body in server.asked] == [512, 2048]
    with FakeServer(quirk=Script(answer, answer)) as server:
        with pytest.raises(UnreadableReply, match=r"cut off at 2048 tokens.*max_tokens") as caught:
            write(endpoint(server), schema)
        assert caught.value.usage["prompt_tokens"] == 10 and caught.value.usage["calls"] == 2
    with FakeServer(
        quirk=Script(answer)
    ) as server:  # a limit that was given is kept: a budget may stand behind it
        with pytest.raises(UnreadableReply, match=r"cut off at 9 tokens"):
            options = {} if schema is None else endpoint(server).schema_kwargs(schema)
            run(endpoint(server).ainvoke("q", max_tokens=9, **options))
        assert len(server.asked) == 1


def test_a_reply_that_may_end_anywhere_is_taken_as_it_is() -> None:
    with FakeServer(quirk=Script(completion("a red", "length"))) as server:
        assert write(endpoint(server)).text == "a red"
    whole = completion('```json\n{"word": "a", "parts": []}\n``` As you', "length")
    with FakeServer(quirk=Script(whole)) as server:
        assert write(endpoint(server), Whole).text.startswith("```json") and len(server.asked) == 1


def test_thoughts_without_an_answer_and_refusals_are_told() -> None:
    for answer, kind, told in (
        (completion(None, "stop", reasoning_content="hm"), UnreadableReply, "thoughts and no answer"),
        (completion(None, "stop", refusal="I can't"), RequestRefused, "I can't"),
        (completion(None, "content_filter"), RequestRefused, "content filter"),
    ):
        with FakeServer(quirk=Script(answer)) as server, pytest.raises(kind, match=told):
            write(endpoint(server))


def top(*entries: Any) -> dict[str, Any]:
    return {"choices": [{"logprobs": {"content": [{"top_logprobs": list(entries)}]}}]}


def token(text: Any, weight: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(weight)}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            top(token("The", 0.6), token("Yes", 0.3), token("No", 0.1)),
            None,
        ),  # it was about to say something else
        (top(token("The", 0.4), token("Yes", 0.4), token("No", 0.1)), [0.8, 0.2]),
        (top(token("Yes", 0.3)), [0.5, 0.5]),  # No may have as much, and there is room for it
        (top(token("Yes", 0.9), {"token": "x", "logprob": -9999.0}), [0.9, 0.1]),
        (top({"token": "Yes", "logprob": math.nan}, token("No", 0.5)), None),
        (top({"token": "Yes", "logprob": 0.7}, token("No", 0.5)), None),
        (top({"token": "Yes", "logprob": 1e-7}), [1.0, 0.0]),
        (top({"token": "Yes", "logprob": -math.inf}, token("No", 0.5)), [0.5, 0.5]),
        (
            top({"token": None, "logprob": -1}, None, 5, {"logprob": -1}, {"token": "Yes", "logprob": "x"}),
            None,
        ),
        (top({"token": "x"}, token("Yes", 0.5), token("No", 0.25)), [2 / 3, 1 / 3]),
        (
            {"choices": [{"logprobs": {"content": [{**token("Yes", 0.75), "top_logprobs": []}]}}]},
            [0.75, 0.25],
        ),
        ({"choices": [{"logprobs": None}]}, None),
        ({"choices": [{"logprobs": {"content": "x"}}]}, None),
    ],
)
def test_probabilities_are_believed_where_the_labels_hold_their_share(answer: Any, expected: Any) -> None:
    found = first_token_probabilities(answer, ["Yes", "No"])
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_a_server_that_weighs_only_small_talk_is_read_as_text() -> None:
    with FakeServer(
        quirk=lambda body: None if quirks.text(body) == "Say Yes." else Raw(content=completion())
    ) as server:
        choice = run(Role("v", endpoint(server)).choose([Request(text="Is it?")], ["Yes", "No"]))
        assert choice.probabilities == [[1.0, 0.0]] and "no logprobs for these questions" in details(choice)

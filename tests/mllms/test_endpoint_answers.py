"""Answers of every shape: an error in HTTP 200 is an error, odd fields cost nothing, a cut reply says so."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import math
from typing import Any

import pytest
from pydantic import SecretStr

from imagescope_agent.errors import (
    BackendUnavailable,
    Misconfigured,
    RequestRefused,
    UnreadableReply,
)
from imagescope_agent.mllms.endpoint import Endpoint
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.wire import error_of, first_token_probabilities, token_counts, written
from tests.mllms import quirks
from tests.mllms.server import FakeServer, Raw
from tests.mllms.test_endpoint_dialect import Whole, details, endpoint, run, score, write

FAULTS: list[Any] = [
    {"error": {"code": 429, "message": "slow down"}},
    {"error": {"code": "502", "message": "upstream"}},
    {"error": {"type": "rate_limit_error", "message": "slow down"}},
    {"error": "overloaded"},
    {"object": "error", "message": "busy", "code": 503},
    {"choices": [{"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}]},
    {"choices": [{"finish_reason": "error", "message": {"content": "half"}}]},
]


class Script:
    """Answers that are given in turn, to what is no small question; the usual one afterwards."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)

    def __call__(self, body: dict[str, Any]) -> Raw | None:
        if not self.left or quirks.text(body) == "Say Yes.":
            return None
        answer = self.left.pop(0)
        return answer if isinstance(answer, Raw) else Raw(content=answer)


def completion(content: Any = "Yes", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: json.dumps(fault)[:50])
def test_an_error_in_http_200_is_tried_again(fault: Any) -> None:
    with FakeServer(quirk=Script(fault)) as server:
        assert write(endpoint(server)).text == "Yes, it is." and len(server.asked) == 2
    with FakeServer(quirk=lambda body: Raw(content=fault)) as server, pytest.raises(BackendUnavailable):
        write(endpoint(server))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529, 599])
def test_a_passing_status_is_tried_again(status: int) -> None:
    with FakeServer(faults=[status]) as server:
        assert write(endpoint(server)).text == "Yes, it is." and len(server.asked) == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 401, "message": "who?"}, Misconfigured),
        ({"code": 400, "message": "no"}, RequestRefused),
        ({"code": "content_filter", "message": "no"}, RequestRefused),
    ],
)
def test_an_error_in_http_200_means_what_its_status_means(error: Any, kind: type[Exception]) -> None:
    with FakeServer(quirk=Script({"error": error})) as server, pytest.raises(kind):
        write(endpoint(server))


def test_no_error_is_no_error() -> None:
    assert error_of({"error": None, "choices": []}) is None and error_of([1]) is None
    with FakeServer(quirk=Script({**completion("a"), "error": None})) as server:
        assert write(endpoint(server)).text == "a"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_on_the_same_host_with_the_same_request(status: int) -> None:
    with FakeServer(key="k") as target:

        def moved(body: dict[str, Any]) -> Raw:
            return Raw(status=status, headers={"location": f"{target.url}/chat/completions"})

        with FakeServer(quirk=moved, key="k") as server:
            model = endpoint(server, model="m", key=SecretStr("k"))
            assert write(model).text == "Yes, it is." and target.asked[-1] == server.asked[-1]


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://user:pass@elsewhere.example/v1", "'http://elsewhere.example/v1'; set IMAGESCOPE_ENDPOINT"),
        ("", "redirects"),
        ("/v1/chat/completions", "without end"),
    ],
)
def test_other_redirects_are_named(location: str, told: str) -> None:
    raw = Raw(status=308, headers={"location": location})
    with FakeServer(quirk=lambda body: raw) as server, pytest.raises(Misconfigured, match=told) as caught:
        write(endpoint(server, model="m"))
    assert "pass" not in str(caught.value) and "\n" not in str(caught.value)


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
        Raw(content=gzip.compress(b"{}" * 500)[:-20], headers={"content-encoding": "deflate"}),
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


@pytest.mark.parametrize(
    ("names", "chats"), [(("embed", "whisper", "chat"), "chat"), (("chat", "embed"), "chat"), (("a",), "a")]
)
def test_the_first_model_that_chats_is_taken(names: tuple[str, ...], chats: str) -> None:
    def only(body: dict[str, Any]) -> Raw | None:
        return None if body["model"] == chats else quirks.refuse(f"{body['model']} does not chat")

    with FakeServer(quirk=only, models=names) as server:
        model = endpoint(server)
        assert write(model).text and model.model == chats


def test_models_of_which_none_chats_are_listed() -> None:
    told = r"IMAGESCOPE_ENDPOINT_MODEL.*'embed-1', 'embed-2'"
    with (
        FakeServer(quirk=lambda body: quirks.refuse(), models=("embed-1", "embed-2")) as server,
        pytest.raises(Misconfigured, match=told),
    ):
        write(endpoint(server))


@pytest.mark.parametrize(
    "listed", [[], {"data": None}, {"data": "x"}, {"data": [1, {"id": 5}]}, {"data": []}, "x", None]
)
def test_a_list_of_models_that_is_none_asks_for_a_name(listed: Any) -> None:
    with (
        FakeServer(models=listed) as server,
        pytest.raises(BackendUnavailable, match="IMAGESCOPE_ENDPOINT_MODEL"),
    ):
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


def test_a_login_in_the_address_is_used_and_never_shown() -> None:
    basic = base64.b64encode(b"me:s3cr@t!").decode()

    def echo(body: dict[str, Any]) -> Raw:
        return quirks.refuse(f"denied for me with s3cr@t! or s3cr%40t%21 or {basic}", 401)

    with FakeServer() as server:
        url = server.url.replace("://", "://me:s3cr%40t!@")
        model = Endpoint(url=url, key=SecretStr(""), pause=0.01)
        assert write(model).text and server.headers[-1]["authorization"] == f"Basic {basic}"
        server.quirk = echo
        with pytest.raises(Misconfigured) as caught:
            write(model)
        shown = [
            str(caught.value),
            model.weights,
            repr(model),
            str(model),
            str(model.model_dump()),
            model.to_json(),
        ]
        assert not any(secret in str(each) for each in shown for secret in ("s3cr", basic))
        assert "[hidden]" in str(caught.value)
    with pytest.raises(BackendUnavailable) as caught_too:
        asyncio.run(Endpoint(url="http://me:s3cret@127.0.0.1:9/v1", attempts=1).ainvoke("q"))
    assert "s3cret" not in str(caught_too.value)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_key_that_the_server_repeats_is_hidden(status: int) -> None:
    told = Raw(status=status, content={"detail": "key sk-verysecret is over its quota"})
    with FakeServer(quirk=lambda body: told) as server:
        with pytest.raises((BackendUnavailable, RequestRefused, UnreadableReply)) as caught:
            write(endpoint(server, model="m", key=SecretStr("sk-verysecret")))
        assert "sk-verysecret" not in str(caught.value) and "sk-verysecret" not in str(vars(caught.value))


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "http://[::1", "nonsense", "http://me:pw12@[::1"]
)
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(BackendUnavailable, match="no address of a server; set IMAGESCOPE_ENDPOINT"):
        asyncio.run(Endpoint(url=url, model="m", attempts=1).ainvoke("q"))


def test_a_key_that_no_header_can_hold_is_named() -> None:
    with pytest.raises(BackendUnavailable, match="IMAGESCOPE_ENDPOINT_KEY"):
        asyncio.run(Endpoint(url="http://127.0.0.1:9/v1", key=SecretStr("k\né")).ainvoke("q"))

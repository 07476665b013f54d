from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from imagescope_agent.errors import BackendUnavailable, BadInput, UnreadableReply
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.openai.responses import first_token_probabilities
from imagescope_agent.mllms.role import Request, Role
from tests.mllms.checkpoints import picture
from tests.mllms.server import FakeServer


class Word(BaseModel):
    word: str
    count: int


def endpoint(server: FakeServer, **options: Any) -> Endpoint:
    return Endpoint(url=server.url, **{"pause": 0.01, "patience": 60.0, "key": SecretStr(""), **options})


def test_asks_with_the_picture_first_and_counts() -> None:
    with FakeServer(lambda body: "a red house") as server:
        replies = asyncio.run(
            Role("captioner", endpoint(server)).ask(
                [Request(text="Describe.", images=(picture(1),))], max_tokens=9
            )
        )
        assert replies[0].text == "a red house"
        assert (replies[0].usage["prompt_tokens"], replies[0].usage["completion_tokens"]) == (7, 3)
        body = server.asked[0]
        kinds = [part["type"] for part in body["messages"][0]["content"]]
        assert kinds == ["image_url", "text"] and body["max_tokens"] == 9 and body["model"] == "fake-model"
        assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_probabilities_come_from_the_first_token() -> None:
    with FakeServer() as server:
        choice = asyncio.run(
            Role("verifier", endpoint(server)).choose([Request(text="Is it?")] * 3, ["Yes", "No"])
        )
        assert choice.probabilities == [pytest.approx([7 / 9, 2 / 9])] * 3
        assert not choice.notes and choice.usage["calls"] == 3 and choice.usage["prompt_tokens"] == 21
        assert server.asked[0]["max_tokens"] == 1


def test_a_choice_that_was_not_weighed_gets_what_is_left() -> None:
    with FakeServer(weights={"Yes": 0.97, "Well": 0.02}) as server:
        choice = asyncio.run(Role("v", endpoint(server)).choose([Request(text="Is it?")], ["Yes", "No"]))
        assert choice.probabilities[0] == pytest.approx([0.97 / 0.98, 0.01 / 0.98], abs=1e-6)


def test_where_none_of_the_choices_is_weighed_the_text_is_read() -> None:
    with FakeServer(weights={"Well": 0.9}) as server:
        choice = asyncio.run(Role("v", endpoint(server)).choose([Request(text="Is it?")], ["Yes", "No"]))
        assert choice.probabilities == [[1.0, 0.0]] and choice.notes[0]["kind"] == "fallback"
        assert "none of the answers" in choice.notes[0]["detail"]


def test_schema_is_sent_and_followed() -> None:
    with FakeServer() as server:
        reply = asyncio.run(Role("reasoner", endpoint(server)).ask([Request(text="q")], schema=Word))[0]
        assert Word.model_validate_json(reply.text) == Word(word="house", count=3) and not reply.notes
        assert server.asked[0]["response_format"]["json_schema"]["name"] == "Word"


def test_what_a_server_ignores_in_silence_is_found_out_once() -> None:
    with FakeServer(heeds=(False, False)) as server:
        model = endpoint(server)
        role = Role("verifier", model)

        async def both() -> None:
            choice = await role.choose([Request(text="Is it?"), Request(text="Or not?")], ["Yes", "No"])
            assert choice.probabilities == [[1.0, 0.0]] * 2
            assert [note["detail"] for note in choice.notes] == [
                "the server ignores logprobs; answers are read as text"
            ]
            reply = (await role.ask([Request(text="q")], schema=Word))[0]
            assert reply.notes[0]["kind"] == "fallback" and "ignores JSON schemas" in reply.notes[0]["detail"]

        asyncio.run(both())
        assert len(server.bodies) - len(server.asked) == 2
        assert "response_format" not in server.asked[-1]


@pytest.mark.parametrize("fault", [429, 500, 503, "cut", "drop"])
def test_a_passing_fault_is_tried_again(fault: int | str) -> None:
    with FakeServer(faults=[fault, fault]) as server:
        reply = asyncio.run(Role("x", endpoint(server)).ask([Request(text="q")]))[0]
        assert reply.text == "Yes, it is." and len(server.asked) == 3


@pytest.mark.parametrize("fault", [500, "cut", "drop", "hang"])
def test_a_lasting_fault_ends_in_bounded_time(fault: int | str) -> None:
    with FakeServer(faults=[fault] * 99) as server:
        model = endpoint(server, patience=2.0 if fault == "hang" else 60.0, attempts=3)
        start = time.perf_counter()
        with pytest.raises(BackendUnavailable, match="does not answer") as caught:
            asyncio.run(Role("x", model).ask([Request(text="q")]))
        assert time.perf_counter() - start < 30 and "\n" not in str(caught.value)
        assert 0 < len(server.asked) <= 3 and caught.value.exit_code == 3


def test_a_server_killed_on_the_way_is_unavailable() -> None:
    server = FakeServer()
    model = endpoint(server, attempts=2)
    asyncio.run(Role("x", model).ask([Request(text="q")]))
    server.stop()
    with pytest.raises(BackendUnavailable):
        asyncio.run(Role("x", model).ask([Request(text="q")] * 3))


def test_a_wrong_key_is_not_tried_again() -> None:
    with FakeServer(key="right") as server:
        with pytest.raises(BackendUnavailable, match="IMAGESCOPE_ENDPOINT_KEY") as caught:
            asyncio.run(Role("x", endpoint(server, key=SecretStr("wrong-secret"))).ask([Request(text="q")]))
        assert len(server.asked) == 1 and "wrong-secret" not in str(caught.value)
        right = endpoint(server, key=SecretStr("right"))
        assert asyncio.run(Role("x", right).ask([Request(text="q")]))[0].text


def test_a_refused_request_and_a_strange_answer() -> None:
    with FakeServer(faults=[400, "junk"]) as server:
        with pytest.raises(BadInput, match="HTTP 400"):
            asyncio.run(Role("x", endpoint(server)).ask([Request(text="q")]))
        with pytest.raises(UnreadableReply, match="no chat completion"):
            asyncio.run(Role("x", endpoint(server)).ask([Request(text="q")]))


def test_only_so_many_requests_at_a_time() -> None:
    with FakeServer(delay=0.05) as server:
        asyncio.run(Role("x", endpoint(server, concurrency=3)).ask([Request(text=str(n)) for n in range(12)]))
        assert server.most_under_way == 3


def test_no_address_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGESCOPE_ENDPOINT", raising=False)
    with pytest.raises(BackendUnavailable, match="IMAGESCOPE_ENDPOINT"):
        asyncio.run(Role("x", Endpoint()).ask([Request(text="q")]))


def test_address_key_and_model_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(key="k") as server:
        monkeypatch.setenv("IMAGESCOPE_ENDPOINT", server.url)
        monkeypatch.setenv("IMAGESCOPE_ENDPOINT_KEY", "k")
        monkeypatch.setenv("IMAGESCOPE_ENDPOINT_MODEL", "m")
        model = Endpoint()
        assert asyncio.run(Role("x", model).ask([Request(text="q")]))[0].text
        assert server.asked[0]["model"] == "m" and "k" not in repr(model.key)


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ({"Yes": 0.5, "yes": 0.25, "No": 0.25}, [0.75, 0.25]),
        ({"Y": 0.5, "▁No": 0.5}, [0.5, 0.5]),
        ({"": 0.9, "No": 0.1}, [0.0, 1.0]),
        ({"What": 1.0}, None),
    ],
)
def test_first_token_probabilities(top: dict[str, float], expected: list[float] | None) -> None:
    import math

    weights = [{"token": token, "logprob": math.log(weight)} for token, weight in top.items()]
    answer = {"choices": [{"logprobs": {"content": [{"top_logprobs": weights}]}}]}
    found = first_token_probabilities(answer, ["Yes", "No"])
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))

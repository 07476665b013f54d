"""A request that fails by itself costs that request; a model that is away ends the run; waiting is bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imagescope_agent.doctor.checks import SchemaProbe
from imagescope_agent.errors import (
    BackendUnavailable,
    Misconfigured,
    RequestFailed,
    ServerFails,
    UnreadableReply,
    UnusableModel,
    may_pass,
)
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.mllms.provider_errors import meaning
from imagescope_agent.mllms.role import Role
from tests.mllms import quirks
from tests.mllms.failing import FAILS, PAGE, Stranger, endpoint, fails_at, request
from tests.mllms.server import FakeServer, Raw


@pytest.mark.parametrize("fault", FAILS)
@pytest.mark.parametrize("together", [True, False])
def test_a_request_that_fails_alone_costs_itself(fault: str, together: bool) -> None:
    with FakeServer(quirk=fails_at(2, FAILS[fault])) as server:
        role = Role("verifier", endpoint(server))

        async def verify() -> Any:
            numbers = [1, 2, 3] if together else [2]
            choice = await role.choose_some([request(number) for number in numbers], ("Yes", "No"), ())
            replies = await role.ask_some([request(number) for number in numbers], ())
            return choice, replies

        choice, replies = asyncio.run(verify())
    place = 1 if together else 0
    assert list(choice.refused) == [place] and len(choice.probabilities) == len(replies)
    assert [reply.problem is not None for reply in replies] == [row == place for row in range(len(replies))]


@pytest.mark.parametrize("fault", ["503", "500", "page"])
def test_a_server_that_answers_nothing_is_away(fault: str) -> None:
    with FakeServer(quirk=lambda body: FAILS[fault]) as server, pytest.raises(BackendUnavailable) as caught:
        asyncio.run(Role("x", endpoint(server)).ask([request(1), request(2)]))
    assert caught.value.exit_code == 3 and not may_pass(caught.value)


def test_a_request_that_is_never_answered_costs_one_time_out() -> None:
    with FakeServer(faults=["hang"] * 9) as server:
        model = endpoint(server, patience=2.0, attempts=4)
        with pytest.raises(RequestFailed):
            asyncio.run(Role("x", model).ask([request(1)]))
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "error",
    [
        IndexError("list index out of range"),
        KeyError("choices"),
        TypeError("'NoneType' object is not subscriptable"),
        AttributeError("no attribute 'content'"),
        RuntimeError("odd"),
        TimeoutError(),
        ConnectionError("reset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_strange_exception_costs_its_request(error: Exception) -> None:
    model = Stranger(error=error)
    role = Role("verifier", model)
    for numbers in ([1, 2, 3], [2]):
        choice = asyncio.run(role.choose_some([request(number) for number in numbers], ("Yes", "No"), ()))
        assert list(choice.refused) == [numbers.index(2)] and choice.failed == frozenset(choice.refused)
    away = Stranger(error=error, at="")
    with pytest.raises(BackendUnavailable):
        asyncio.run(Role("verifier", away).choose([request(1)], ("Yes", "No")))
    assert len(away.asked) <= 2  # itself and the small question: a node's own retries are not multiplied


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("name", ["logprobs", "temperature", "response_format", "max_tokens"])
def test_a_parameter_that_makes_the_server_fail_is_left_out(name: str, status: int) -> None:
    def busy(body: dict[str, Any]) -> Raw | None:
        return Raw(status=status, content={"error": "try later"}) if name in body else None

    with FakeServer(quirk=busy, answer=lambda body: "Yes, {}") as server:
        role = Role("x", endpoint(server))
        if name == "logprobs":
            notes = asyncio.run(role.choose([request(1)], ("Yes", "No"))).notes
        else:
            options = {"schema": SchemaProbe} if name == "response_format" else {}
            (reply,) = asyncio.run(role.ask([request(1)], **options))  # type: ignore[arg-type]
            assert reply.text and name not in server.asked[-1]
            notes = reply.notes
    wanted = {"response_format": "schema"}.get(name, name)
    assert any(wanted in each["detail"].lower() for each in notes), notes


def test_a_model_that_thinks_is_given_room_under_the_name_it_wants() -> None:
    def thinks(body: dict[str, Any]) -> Raw | None:
        if "max_tokens" in body:
            return quirks.refuse("Unsupported parameter: 'max_tokens' is not supported with this model.")
        if body.get("max_completion_tokens", 999) < 16:
            told = "Could not finish the message because max_tokens or model output limit was reached. "
            return quirks.refuse(told + "Please try again with higher max_tokens.")
        return None

    with FakeServer(quirk=thinks) as server:
        model = endpoint(server)
        asyncio.run(Role("x", model).choose([request(1)], ("Yes", "No")))
        assert server.asked[-1]["max_completion_tokens"] == 16


def test_why_no_picture_is_taken_is_said_in_the_servers_words() -> None:
    def no_data(body: dict[str, Any]) -> Raw | None:
        return quirks.refuse("data: URLs are not supported, use https") if quirks.pictures(body) else None

    with FakeServer(quirk=no_data) as server:
        choice = asyncio.run(
            Role("x", endpoint(server)).choose_some([request(1), request(2)], ("Yes", "No"), ())
        )
        replies = asyncio.run(Role("x", endpoint(server)).ask_some([request(1)], ()))
    assert "data: URLs are not supported" in choice.refused[1]
    assert "data: URLs are not supported" in str(replies[0].problem)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"detail": "Invalid API key"}, Misconfigured),
        ({"success": False, "message": "unauthorized"}, Misconfigured),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, Misconfigured),
        ({"error": {"type": "authentication_error", "message": "who are you"}}, Misconfigured),
        ({"success": False, "message": "boom"}, BackendUnavailable),
        ({"error": {"message": "insufficient GPU memory for the batch"}}, ServerFails),
        ({"error": {"message": "load balancer: dialog init failed"}}, ServerFails),
        ({"error": {"message": "Insufficient Balance"}}, Misconfigured),
        ({"success": False, "message": "your account balance is not enough"}, Misconfigured),
        ({"choices": []}, UnreadableReply),
    ],
    ids=repr,
)
def test_what_means_an_error_is_one(answer: Any, kind: type[Exception]) -> None:
    with FakeServer(quirk=lambda body: Raw(content=answer)) as server, pytest.raises(kind):
        asyncio.run(endpoint(server).server().ask({"model": "m", "messages": [{"content": "q"}]}))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (PAGE, "text/html"),
        (Raw(content=b"data: {}\n\n", headers={"content-type": "text/event-stream"}), "event-stream"),
        (Raw(content=b"{}\n{}\n", headers={"content-type": "application/x-ndjson"}), "ndjson"),
    ],
    ids=["page", "stream", "lines"],
)
def test_an_answer_of_another_kind_is_named_and_not_asked_for_again(raw: Raw, told: str) -> None:
    with FakeServer(quirk=lambda body: raw) as server:
        with pytest.raises((Misconfigured, UnreadableReply), match=told):
            asyncio.run(endpoint(server).server().ask({"model": "m", "messages": [{"content": "q"}]}))
        assert len(server.bodies) == 1


@pytest.mark.parametrize("token", ["<think>", "\n", '"'])
def test_a_first_token_that_is_no_answer_is_not_weighed(token: str) -> None:
    weights = {token: 0.98, "Yes": 0.01, "No": 0.01}
    with FakeServer(weights=weights) as server:
        model = endpoint(server)
        if token.strip():
            with pytest.raises(UnusableLabels):
                asyncio.run(model.ascore([request(1).messages()], ("Yes", "No")))
        choice = asyncio.run(Role("x", model).choose([request(1), request(2)], ("Yes", "No")))
    assert choice.probabilities == [[1.0, 0.0]] * 2 and choice.notes


def test_a_model_that_cannot_be_used_keeps_its_name() -> None:
    error = RuntimeError("x")
    error.__cause__ = UnusableModel("no memory")
    assert isinstance(meaning(error, "M"), Misconfigured)

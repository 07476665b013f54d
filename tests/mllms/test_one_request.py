"""A request that fails by itself costs that request; a model that is away ends the run; waiting is bounded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, SecretStr

from imagescope_agent.doctor.checks import SchemaProbe
from imagescope_agent.errors import (
    BackendUnavailable,
    Exhausted,
    Misconfigured,
    RequestFailed,
    UnreadableReply,
    UnusableModel,
    may_pass,
)
from imagescope_agent.mllms import liveness
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.mllms.openai.connection import Server
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.openai.rate_limit import retry_after
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.mllms.provider_errors import meaning
from imagescope_agent.mllms.role import Request, Role
from tests.mllms import quirks
from tests.mllms.checkpoints import picture
from tests.mllms.server import FakeServer, Raw

PAGE = Raw(content=b"<!doctype html><title>Welcome</title>", headers={"content-type": "text/html"})
FAILS: dict[str, Raw] = {
    "503": Raw(status=503, content={"error": "busy"}),
    "502": Raw(status=502, content=b"bad gateway"),
    "504": Raw(status=504, content=b""),
    "500": Raw(status=500, content={"error": "boom"}),
    "402": Raw(status=402, content={"error": "pay"}),
    "429 too large": Raw(status=429, content={"error": {"message": "Request too large for this model"}}),
    "finish error": Raw(
        content={"choices": [{"message": {"content": ""}, "finish_reason": "error"}], "usage": {}}
    ),
    "page": PAGE,
    "cut": Raw(content=b'{"choices": [{"mess'),
}


def endpoint(server: FakeServer, **options: Any) -> Endpoint:
    usual = {"pause": 0.01, "patience": 30.0, "attempts": 2, "key": SecretStr("")}
    return Endpoint(url=server.url, **{**usual, **options})


def request(number: int) -> Request:
    return Request(text=f"Is it {number}?", images=(picture(number),))


def fails_at(number: int, raw: Raw) -> Any:
    return lambda body: raw if f"Is it {number}?" in quirks.text(body) else None


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
        model = endpoint(server, patience=0.3, attempts=4)
        with pytest.raises(RequestFailed):
            asyncio.run(Role("x", model).ask([request(1)]))
        assert len(server.asked) == 1


class Stranger(BaseChatModel):
    """A chat model of another package that breaks at one picture."""

    error: Any = None
    at: str = "Is it 2?"
    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "stranger"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        text = str(messages[-1].text)
        self.asked.append(text)
        if self.at in text:
            raise self.error
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="Yes"))])


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


def earlier(model: BaseChatModel, then: Callable[[], object]) -> Any:
    """What a role's batch is answered after which its model answered one request, and `then` was done."""
    role = Role("verifier", model)
    assert asyncio.run(role.choose([request(1)], ("Yes", "No"))).probabilities
    then()
    return asyncio.run(role.choose_some([request(2)], ("Yes", "No"), ()))


@pytest.mark.parametrize("fault", ["500", "503"])
def test_an_answer_of_an_earlier_batch_tells_that_the_model_works(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = False

    def fails(body: dict[str, Any]) -> Raw | None:
        return FAILS[fault] if broken and quirks.text(body) in ("Is it 2?", SMALL_TALK) else None

    def breaks() -> None:
        nonlocal broken
        broken = True

    with FakeServer(quirk=fails) as server:
        assert earlier(endpoint(server), breaks).failed == {0}
        broken = False
        monkeypatch.setattr(liveness, "_RECENT", 0.0)  # it is forgotten
        with pytest.raises(BackendUnavailable) as caught:
            earlier(endpoint(server), breaks)
        assert not isinstance(caught.value, RequestFailed)


def test_an_answer_of_an_earlier_batch_does_not_keep_a_dead_server_alive() -> None:
    with FakeServer() as server, pytest.raises(BackendUnavailable) as caught:
        earlier(endpoint(server), server.stop)
    assert not isinstance(caught.value, RequestFailed)


@pytest.mark.parametrize(
    ("error", "works"),
    [(KeyError("choices"), True), (RuntimeError("odd"), True), (ConnectionError("no"), False)],
)
def test_a_strange_model_that_answered_before_works_while_it_can_be_reached(
    error: Exception, works: bool
) -> None:
    model = Stranger(error=error)

    def breaks() -> None:
        model.at = ""

    if works:
        assert earlier(model, breaks).failed == {0}
        return
    with pytest.raises(BackendUnavailable) as caught:
        earlier(model, breaks)
    assert not isinstance(caught.value, RequestFailed)


def test_a_date_says_when_to_ask_again() -> None:
    later = datetime.now(UTC) + timedelta(seconds=40)
    assert 30 < retry_after(format_datetime(later, usegmt=True)) <= 40
    assert [retry_after(each) for each in ("3", "-1", "nan", "", "soon")] == [3, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "wait",
    ["inf", "86400", format_datetime(datetime.now(UTC) + timedelta(days=1))],
    ids=["inf", "86400", "tomorrow"],
)
def test_a_wait_without_end_is_not_waited_for(wait: str) -> None:
    held = Raw(status=429, content={"error": "slow down"}, headers={"retry-after": wait})
    with FakeServer(quirk=lambda body: held) as server:
        with pytest.raises(Exhausted):
            asyncio.run(endpoint(server).server().ask({"model": "m", "messages": [{"content": "q"}]}))
        assert len(server.bodies) == 1


def test_an_empty_account_is_not_asked_again() -> None:
    spent = Raw(status=429, content={"error": {"code": "insufficient_quota", "message": "no more"}})
    with FakeServer(quirk=lambda body: spent) as server:
        with pytest.raises(Misconfigured) as caught:
            asyncio.run(endpoint(server).server().ask({"model": "m", "messages": [{"content": "q"}]}))
        assert len(server.bodies) == 1 and caught.value.exit_code == 3


def test_being_asked_to_wait_is_no_attempt_and_all_ask_more_slowly() -> None:
    with FakeServer(faults=[429] * 3, delay=0.02) as server:
        replies = asyncio.run(
            Role("x", endpoint(server, attempts=2, concurrency=4)).ask([request(1), request(2)])
        )
    assert all(reply.text for reply in replies)
    assert all(reply.problem is None for reply in replies)


def test_after_429_nobody_asks_before_the_time_and_fewer_ask_at_a_time() -> None:
    wave, waits = 4, 1.0
    together, lock = threading.Barrier(wave), threading.Lock()
    come: list[float] = []
    told: list[float] = []
    under_way = [0]
    most: list[int] = []

    def limited(body: dict[str, Any]) -> Raw | None:
        with lock:
            come.append(time.monotonic())
            first = len(come) <= wave
        if first:
            together.wait(60)
            told.append(time.monotonic())
            return Raw(status=429, content={"error": "slow down"}, headers={"retry-after": str(waits)})
        with lock:
            under_way[0] += 1
            most.append(under_way[0])
        time.sleep(0.03)
        with lock:
            under_way[0] -= 1
        return None

    async def ask(client: Server) -> list[dict[str, Any]]:
        bodies = [{"model": "m", "messages": [{"content": str(number)}]} for number in range(10)]
        return await asyncio.gather(*map(client.ask, bodies))

    with FakeServer(quirk=limited) as server:
        answers = asyncio.run(ask(endpoint(server, concurrency=wave).server()))
    assert len(answers) == 10 and len(come) == 10 + wave  # only what was held back was sent again
    assert min(come[wave:]) >= min(told) + waits  # also what had not been told
    assert max(most[:8]) <= wave // 2 and max(most) < wave


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

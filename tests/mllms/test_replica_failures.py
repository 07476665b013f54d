"""Several servers of one model: what one request, one answer or one server may do to the others."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from imagescope_agent.errors import BackendUnavailable, Exhausted, UnreadableReply
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.openai.negotiation import greeting
from imagescope_agent.mllms.openai.replicas.line import Line
from imagescope_agent.mllms.openai.replicas.trip import Trip
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.mllms.role import Role
from tests.mllms import quirks
from tests.mllms.replica_servers import LABELS, endpoint, number, question, real, right, weighing, weights
from tests.mllms.server import FakeServer, Raw

NULL = Raw(content={"choices": [{"message": None}], "usage": {"prompt_tokens": 50, "completion_tokens": 9}})
LIE = {"Well": 0.9, "Perhaps": 0.05}


class Waiting:
    """Answers small talk, or questions, only when it is let go on."""

    def __init__(self, *, talk: bool) -> None:
        self.go, self.talk = threading.Event(), talk

    def __call__(self, body: dict[str, Any]) -> Raw | None:
        if (quirks.text(body) == "Say Yes.") == self.talk:
            self.go.wait(60)
        return weighing(body)


async def until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def say(model: Endpoint, text: str = "hi") -> asyncio.Task[BaseMessage]:
    return asyncio.ensure_future(model.ainvoke([HumanMessage(text)]))


def test_a_request_that_is_cancelled_takes_no_other_along() -> None:
    async def check(model: Endpoint, servers: list[FakeServer], quirk: Waiting) -> None:
        for each in model.pool().replicas:
            each.failed()
        gives_up, stays = say(model), say(model)
        await until(lambda: all(server.bodies for server in servers))
        gives_up.cancel()
        await asyncio.wait([gives_up])
        quirk.go.set()
        assert (await stays).text

    quirk = Waiting(talk=True)
    with FakeServer(quirk=quirk) as one, FakeServer(quirk=quirk) as two:
        asyncio.run(check(endpoint([one, two], model="m"), [one, two], quirk))


def test_servers_that_ask_to_wait_are_asked_a_bounded_number_of_times() -> None:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(FakeServer(quirk=lambda body: Raw(status=429, content={"error": "wait"})))
            for _ in range(5)
        ]
        model = endpoint(servers, model="m", pause=0.001)

        async def ask() -> None:
            async with asyncio.timeout(60):
                await say(model)

        with pytest.raises(Exhausted):
            asyncio.run(ask())
        assert sum(len(server.bodies) for server in servers) <= 5 * (2 * 4 + 4)


def test_who_waits_for_a_server_is_told_when_another_loop_was_asked_to_wait() -> None:
    async def check(model: Endpoint, gone: FakeServer, busy: FakeServer, quirk: Waiting) -> None:
        left, asked = model.pool().replicas
        left.failed()
        left.probe_at = float("inf")
        first = say(model)
        await until(lambda: busy.bodies)
        waits = say(model)
        await asyncio.sleep(0.05)
        asked.hold(0.1)
        quirk.go.set()
        await first
        async with asyncio.timeout(60):
            assert (await waits).text
        assert not gone.asked

    quirk = Waiting(talk=False)
    with FakeServer() as gone, FakeServer(quirk=quirk) as busy:
        asyncio.run(check(endpoint([gone, busy], model="m", concurrency=1), gone, busy, quirk))


def test_a_server_with_useless_replies_is_left_out_and_its_tokens_are_counted() -> None:
    async def check(model: Endpoint) -> int:
        spent = 0
        for _ in range(20):
            reply: Any = await say(model, "Is it 1?")
            assert reply.text == "Yes, it is."
            spent += reply.usage_metadata["input_tokens"]
            await asyncio.sleep(0.01)
        return spent

    with FakeServer(quirk=lambda body: NULL) as null, FakeServer() as good:
        spent = asyncio.run(check(endpoint([null, good], model="m", pause=0.001)))
        assert real(null) == 3, "and small talk with such replies does not bring it back"
        assert real(good) == 20 and spent == 20 * 7 + 3 * 50


def test_a_request_that_all_servers_reply_uselessly_to_tells_what_all_replies_cost() -> None:
    with FakeServer(quirk=lambda body: NULL) as one, FakeServer(quirk=lambda body: NULL) as two:
        with pytest.raises(UnreadableReply) as caught:
            asyncio.run(Endpoint.ainvoke(endpoint([one, two], model="m"), "Is it 1?"))
        assert real(one) == real(two) == 1
        assert caught.value.usage["prompt_tokens"] == 100 and caught.value.usage["completion_tokens"] == 18
    with FakeServer(quirk=lambda body: NULL) as alone, pytest.raises(UnreadableReply) as caught:
        asyncio.run(Endpoint.ainvoke(endpoint([alone], model="m"), "Is it 1?"))
    assert caught.value.usage["prompt_tokens"] == 50 and caught.value.usage["calls"] == 1


def test_a_slow_probe_goes_on_after_the_request_that_began_it() -> None:
    async def check(model: Endpoint, slow: FakeServer, quirk: Waiting) -> None:
        first = model.pool().replicas[0]
        first.failed()
        first.probe_at = 0.0
        await say(model)
        await until(lambda: slow.bodies)
        quirk.go.set()
        await until(lambda: not first.out)

    quirk = Waiting(talk=True)
    with FakeServer(quirk=quirk) as slow, FakeServer() as good:
        asyncio.run(check(endpoint([slow, good], model="m"), slow, quirk))


def test_a_server_that_was_not_reached_is_not_put_back() -> None:
    async def check(model: Endpoint, servers: list[FakeServer]) -> None:
        assert not (await model.powers()).logprobs
        for each in servers:
            each.stop()
        weighed: Question = greeting(weigh=True)
        pool = model.pool()
        for replica in pool.replicas:
            replica.failed()
        with pytest.raises(UnusableLabels):
            await pool.reach(lambda to, _: to.asked("m", weighed), trip=Trip(), model="m")
        assert all(each.out for each in pool.replicas)

    servers = [FakeServer(heeds=(False, True)) for _ in range(2)]
    asyncio.run(check(endpoint(servers, model="m"), servers))


def test_a_request_that_ends_before_a_second_opinion_counts_against_no_server() -> None:
    asked, go = [0], threading.Event()

    def lies_then_waits(body: dict[str, Any]) -> Raw | None:
        if number(body) is None:
            return None
        asked[0] += 1
        if asked[0] > 1:
            go.wait(60)
        return weights(LIE)

    async def check(model: Endpoint) -> None:
        choosing = asyncio.ensure_future(Role("verifier", model).choose([question(1)], LABELS))
        await until(lambda: asked[0] > 1)
        choosing.cancel()
        await asyncio.wait([choosing])
        assert [each.unweighed for each in model.pool().replicas] == [0, 0]

    with FakeServer(quirk=lies_then_waits) as one, FakeServer(quirk=lies_then_waits) as two:
        try:
            asyncio.run(check(endpoint([one, two], model="m")))
        finally:
            go.set()


def test_a_server_that_gave_one_useless_answer_gets_another_chance() -> None:
    lied: list[int] = []

    def lies_once(body: dict[str, Any]) -> Raw | None:
        if number(body) is not None and not lied:
            lied.append(1)
            return weights(LIE)
        return weighing(body)

    with FakeServer(quirk=lies_once) as one, FakeServer(quirk=lies_once) as two:
        model = endpoint([one, two], model="m")
        asyncio.run(Role("verifier", model).choose([question(1)], LABELS))
        (doubted,) = [each for each in model.pool().replicas if each.unweighed]
        assert not doubted.fits("m", greeting(weigh=True))
        doubted.doubted_until -= 60
        before = {server.url: real(server) for server in (one, two)}
        asyncio.run(Role("verifier", model).choose([question(each) for each in range(20)], LABELS))
        assert all(real(server) > before[server.url] for server in (one, two))


def test_finding_out_what_one_server_heeds_keeps_nobody_waiting_while_another_is_known() -> None:
    quirk = Waiting(talk=True)
    quirk.go.set()
    with FakeServer(quirk=weighing) as good, FakeServer(quirk=quirk) as flapping:
        model = endpoint([good, flapping], model="m")
        asked = [question(each) for each in range(10)]
        asyncio.run(Role("verifier", model).choose(asked, LABELS))
        other = model.pool().replicas[1]
        assert asyncio.run(other.comes_back("m")), "what was known of it is found out anew"
        quirk.go.clear()
        try:
            choice = asyncio.run(Role("verifier", model).choose(asked, LABELS))
            assert not other.out and not choice.notes
        finally:
            quirk.go.set()
        for row, each in zip(choice.probabilities, range(10), strict=True):
            assert row == pytest.approx(right(each), abs=1e-6)


def test_where_no_server_answers_all_are_named() -> None:
    with FakeServer(quirk=lambda body: Raw(status=500)) as one, FakeServer(key="other") as two:
        with pytest.raises(BackendUnavailable, match="none of the 2 servers") as caught:
            asyncio.run(Endpoint.ainvoke(endpoint([one, two], model="m"), "hi"))
        assert one.url in str(caught.value) and two.url in str(caught.value)


def test_a_place_is_not_given_to_who_was_just_cancelled() -> None:
    async def check(model: Endpoint) -> None:
        servers = model.pool().replicas
        line = Line(servers, 1, {})
        taken = [await line.take("", lambda: servers) for _ in servers]
        waits = [asyncio.ensure_future(line.take("", lambda: servers)) for _ in range(2)]
        await asyncio.sleep(0)
        waits[1].cancel()
        for each in taken:
            assert each is not None
            line.leave(each, "", answered=True)
        await asyncio.wait(waits)
        assert waits[0].result() in servers and waits[1].cancelled()
        assert await line.take("", lambda: servers) in servers

    with FakeServer() as one, FakeServer() as two:
        asyncio.run(check(endpoint([one, two], model="m")))

"""An answer of an earlier batch tells that a model works, while its server can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from imagescope_agent.errors import (
    BackendUnavailable,
    RequestFailed,
)
from imagescope_agent.mllms import liveness
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.mllms.role import Role
from tests.mllms import quirks
from tests.mllms.failing import FAILS, Stranger, endpoint, request
from tests.mllms.server import FakeServer, Raw


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


@pytest.mark.parametrize("fault", ["502", "504"])
def test_a_gateway_before_a_server_that_went_away_does_not_keep_it_alive(fault: str) -> None:
    broken: list[bool] = []
    with (
        FakeServer(quirk=lambda body: FAILS[fault] if broken else None) as server,
        pytest.raises(BackendUnavailable) as caught,
    ):
        earlier(endpoint(server), lambda: broken.append(True))
    assert not isinstance(caught.value, RequestFailed)


class BadGateway(Exception):
    """As other packages' clients tell it."""

    status_code = 502


def test_an_answer_of_an_earlier_batch_does_not_keep_a_dead_server_alive() -> None:
    with FakeServer() as server, pytest.raises(BackendUnavailable) as caught:
        earlier(endpoint(server), server.stop)
    assert not isinstance(caught.value, RequestFailed)


@pytest.mark.parametrize(
    ("error", "works"),
    [
        (KeyError("choices"), True),
        (RuntimeError("odd"), True),
        (ConnectionError("no"), False),
        (BadGateway("bad gateway"), False),
    ],
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

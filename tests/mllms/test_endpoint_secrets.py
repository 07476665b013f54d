"""Keys and logins of a server are used and never shown; an address or key that cannot be used is named."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from pydantic import SecretStr

from imagescope_agent.errors import (
    BackendUnavailable,
    Misconfigured,
    RequestRefused,
    UnreadableReply,
)
from imagescope_agent.mllms.openai.endpoint import Endpoint
from tests.mllms import quirks
from tests.mllms.server import FakeServer, Raw
from tests.mllms.test_endpoint_dialect import endpoint, write


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


def test_several_addresses_in_one_text_are_told_apart() -> None:
    several = Endpoint(url=" http://a:1/v1, http://u:pa,ss@b:1/v1,http://a:1/v1/,", key=SecretStr(""))
    assert several.urls == ["http://a:1/v1", "http://b:1/v1"], "one that is named twice is one server"
    assert len(several.pool().replicas) == 2
    twice = Endpoint(url=["http://a:1/v1", "http://a:1/v1"], key=SecretStr(""))
    assert twice.urls == ["http://a:1/v1"] and len(twice.pool().replicas) == 1
    with pytest.raises(BackendUnavailable, match="each of several with its http://"):
        Endpoint(url="http://a:1/v1,b:2/v1", key=SecretStr("")).pool()

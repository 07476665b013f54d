"""Errors in HTTP 200, passing statuses, redirects and lists of models: tried again, followed or named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from imagescope_agent.errors import (
    BackendUnavailable,
    Misconfigured,
    RequestRefused,
)
from imagescope_agent.mllms.openai.responses import error_of
from tests.mllms import quirks
from tests.mllms.scripted_answers import Script, completion
from tests.mllms.server import FakeServer, Raw
from tests.mllms.test_endpoint_dialect import endpoint, write

FAULTS: list[Any] = [
    {"error": {"code": 429, "message": "slow down"}},
    {"error": {"code": "502", "message": "upstream"}},
    {"error": {"type": "rate_limit_error", "message": "slow down"}},
    {"error": "overloaded"},
    {"object": "error", "message": "busy", "code": 503},
    {"choices": [{"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}]},
    {"choices": [{"finish_reason": "error", "message": {"content": "half"}}]},
]


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

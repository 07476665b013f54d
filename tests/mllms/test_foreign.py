"""Exceptions of other packages' chat models, by what they look like."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from imagescope_agent.errors import (
    BackendUnavailable,
    ImageScopeError,
    Misconfigured,
    ModelFailed,
    RequestRefused,
    UnreadableReply,
    may_pass,
)
from imagescope_agent.mllms.provider_errors import as_ours, meaning
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.scripted import Scripted


def raised(name: str, message: str = "", base: type[Exception] = Exception, **held: Any) -> Exception:
    """An exception of a class of that name, with these attributes."""
    error: Exception = type(name, (base,), {})(message)
    for key, value in held.items():
        setattr(error, key, value)
    return error


def invalid() -> Exception:
    class Form(BaseModel):
        word: str

    try:
        Form(word=3)  # type: ignore[arg-type]
    except ValidationError as error:
        return error
    raise AssertionError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


REQUEST = httpx.Request("POST", "http://127.0.0.1/v1")
THROTTLED = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
INVALID = {"Error": {"Code": "ValidationException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
DENIED = {"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 403}}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised("RateLimitError", status_code=429), BackendUnavailable),
        (raised("InternalServerError", status_code=529), BackendUnavailable),
        (raised("APIConnectionError"), BackendUnavailable),
        (raised("APITimeoutError"), BackendUnavailable),
        (raised("ResourceExhausted", code=429), BackendUnavailable),
        (raised("AioRpcError", code=lambda: SimpleNamespace(name="UNAVAILABLE")), BackendUnavailable),
        (raised("ClientError", response=THROTTLED), BackendUnavailable),
        (raised("ChatError", "Error code: 503 - overloaded"), BackendUnavailable),
        (httpx.ReadTimeout("slow", request=REQUEST), BackendUnavailable),
        (httpx.RemoteProtocolError("cut", request=REQUEST), BackendUnavailable),
        (TimeoutError(), BackendUnavailable),
        (ConnectionResetError("reset"), BackendUnavailable),
        (ValueError({"message": "Rate limit", "code": 429}), BackendUnavailable),
        (caused(RuntimeError("model failed"), ConnectionError("reset")), BackendUnavailable),
        (ExceptionGroup("several", [TimeoutError()]), BackendUnavailable),
        (raised("BadRequestError", status_code=400), RequestRefused),
        (raised("HTTPError", response=SimpleNamespace(status_code=413)), RequestRefused),
        (raised("UnprocessableEntityError", status_code=422), RequestRefused),
        (raised("ContentPolicyViolationError"), RequestRefused),
        (raised("ContentFilterFinishReasonError"), RequestRefused),
        (raised("InvalidArgument", code=400), RequestRefused),
        (raised("ClientError", response=INVALID), RequestRefused),
        (raised("AioRpcError", code=lambda: SimpleNamespace(name="INVALID_ARGUMENT")), RequestRefused),
        (caused(raised("ChatGenerativeError"), raised("BadRequest", code=400)), RequestRefused),
        (ValueError("absolute aspect ratio must be smaller than 200"), RequestRefused),
        (raised("AuthenticationError", status_code=401), Misconfigured),
        (raised("PermissionDeniedError", status_code=403), Misconfigured),
        (raised("NotFoundError", status_code=404), Misconfigured),
        (raised("ClientError", response=DENIED), Misconfigured),
        (raised("BadRequest", "API key not valid", code=400), Misconfigured),
        (raised("LengthFinishReasonError"), UnreadableReply),
        (json.JSONDecodeError("no JSON", "<html>", 0), UnreadableReply),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), UnreadableReply),
        (invalid(), UnreadableReply),
        (KeyError("choices"), ModelFailed),
        (TypeError("'NoneType' object is not subscriptable"), ModelFailed),
        (RuntimeError("two\nlines"), ModelFailed),
        (AssertionError(), ModelFailed),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else type(each).__name__,
)
def test_an_exception_is_told_as_what_it_means(error: Exception, kind: type[ImageScopeError]) -> None:
    found = meaning(error, "ChatStranger")
    assert type(found) is kind
    assert "ChatStranger" in str(found) and type(error).__name__ in str(found)
    assert "\n" not in str(found)
    assert may_pass(found) == (kind in (BackendUnavailable, ModelFailed))


def test_openai_s_own_exceptions() -> None:
    openai = pytest.importorskip("openai")
    response = httpx.Response(429, request=REQUEST)
    assert may_pass(meaning(openai.RateLimitError("busy", response=response, body=None), "ChatOpenAI"))
    assert may_pass(meaning(openai.APIConnectionError(request=REQUEST), "ChatOpenAI"))
    assert may_pass(meaning(openai.APITimeoutError(request=REQUEST), "ChatOpenAI"))
    filtered = openai.BadRequestError(
        "filtered", response=httpx.Response(400, request=REQUEST), body={"code": "content_policy_violation"}
    )
    assert type(meaning(filtered, "ChatOpenAI")) is RequestRefused
    denied = openai.AuthenticationError("key", response=httpx.Response(401, request=REQUEST), body=None)
    assert type(meaning(denied, "ChatOpenAI")) is Misconfigured


def test_an_exception_that_cannot_be_shown() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert "Mute" in str(meaning(Mute(), "Chat"))


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(1)])
def test_what_stops_the_program_passes(stop: BaseException) -> None:
    with pytest.raises(type(stop)), as_ours(None):
        raise stop


def test_a_role_raises_nothing_else() -> None:
    role = Role("verifier", Scripted([raised("RateLimitError", status_code=429)]))
    with pytest.raises(BackendUnavailable, match="RateLimitError"):
        asyncio.run(role.ask([Request(text="q")]))

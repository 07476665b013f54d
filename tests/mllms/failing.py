"""Servers and models that fail at one request."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, SecretStr

from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Request
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

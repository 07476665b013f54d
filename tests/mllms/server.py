"""A small OpenAI-compatible server on loopback that honours logprobs and schemas, and fails when told to."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], str]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A response as it goes over the wire; `content` is sent as JSON unless it is bytes."""

    content: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Quirk = Callable[[dict[str, Any]], Raw | None]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # whoever asked may have gone
            super().handle_error(request, client_address)


class FakeServer:
    """Answers chat completions.

    Args:
        answer: the text for a request.
        weights: log probabilities of the first token by text, in every answer that asks for them.
        heeds: whether it returns logprobs, whether it follows schemas.
        faults: what goes wrong, in turn: an HTTP status, "hang", "cut", "drop", "junk", or "" for nothing.
        key: what the bearer token must be.
        port: any free one when 0.
        quirk: answers a request in its own way, or None for the usual one; small questions of the probe, too.
        models: what the server lists, or what it says instead of a list.
    """

    def __init__(
        self,
        answer: Answer = lambda body: "Yes, it is.",
        *,
        weights: dict[str, float] | None = None,
        heeds: tuple[bool, bool] = (True, True),
        faults: list[int | str] | None = None,
        key: str = "",
        delay: float = 0.0,
        port: int = 0,
        quirk: Quirk = lambda body: None,
        models: Any = ("fake-model",),
    ) -> None:
        self.quirk, self.models = quirk, models
        self.headers: list[dict[str, str]] = []
        self.answer, self.heeds, self.key, self.delay = answer, heeds, key, delay
        self.weights = weights or {"Yes": 0.7, " no": 0.2, "Maybe": 0.1}
        self.faults = list(faults or [])
        self.bodies: list[dict[str, Any]] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                listed = outer.models
                if isinstance(listed, tuple):
                    listed = {"data": [{"id": name} for name in listed]}
                outer._reply(self, 200, listed)

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                if content:  # whoever asked may have given up
                    outer._post(self, json.loads(content))

        self._http = _Quiet(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the door, as a server does that was killed."""
        self._http.shutdown()
        self._http.server_close()

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What was asked, without the questions of the probe."""
        return [body for body in self.bodies if body["messages"][-1]["content"] != "Say Yes."]

    def _post(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self.lock:
            self.bodies.append(body)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            probing = body["messages"][-1]["content"] == "Say Yes."
            fault = self.faults.pop(0) if self.faults and not probing else ""
        try:
            time.sleep(self.delay)
            self._answer(handler, body, fault)
        finally:
            with self.lock:
                self.under_way -= 1

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], fault: int | str) -> None:
        if self.key and handler.headers.get("authorization") != f"Bearer {self.key}":
            self._reply(handler, 401, {"error": "wrong key"})
        elif isinstance(fault, int):
            self._reply(handler, fault, {"error": "told to"})
        elif fault == "hang":
            time.sleep(60)
        elif fault == "drop":
            handler.connection.close()
        elif fault == "junk":
            self._reply(handler, 200, {"something": "else"})
        elif (raw := self.quirk(body)) is not None:
            self._reply(handler, raw.status, raw.content, headers=raw.headers)
        else:
            self._reply(handler, 200, self.completion(body), cut=fault == "cut")

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """The usual answer."""
        text = self.answer(body)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        if schema and self.heeds[1] and not text.startswith("{"):
            text = json.dumps({name: _example(each) for name, each in schema["properties"].items()})
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        if body.get("logprobs") and self.heeds[0]:
            top = [{"token": token, "logprob": math.log(weight)} for token, weight in self.weights.items()]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top[: body["top_logprobs"]]}]}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return {
            "id": "1",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }

    def _reply(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: Any,
        *,
        cut: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        content = content[: len(content) // 2] if cut else content
        handler.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


def _example(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return {"integer": 3, "array": [], "boolean": True}.get(schema.get("type", "string"), "house")

"""Requests to an OpenAI-compatible server: sent in bounded time, repeated where that can help, refusals told apart."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from imagescope_agent.errors import (
    Exhausted,
    Misconfigured,
    RequestRefused,
    ServerFails,
    UnreadableReply,
    shorten,
)
from imagescope_agent.mllms.openai.address import Address
from imagescope_agent.mllms.openai.rate_limit import Gate, retry_after
from imagescope_agent.mllms.openai.responses import error_of, written

_AGAIN = frozenset({408, 409, 425, 429})  # and every 5xx
_MOVED = frozenset({301, 302, 303, 307, 308})
_HOPS = 5
_LONGEST_WAIT = 30.0
_ALL_WAITS = 60.0  # seconds that a request is held back in all by a server that is asked too much
# 429 of what no waiting mends
_SPENT = re.compile(r"insufficient[ _]?(?:quota|funds|credit|balance)|out of credits?|credit balance", re.I)
_TOO_LARGE = re.compile(r"too (?:large|long|big)|request size|reduce the (?:length|size|number)", re.I)
_LONGEST_INTEGER = 18  # digits; what is longer counts nothing, and Python refuses to read thousands of them


class Denied(Misconfigured):
    """HTTP 402 to 405: mostly the key or the model, with some servers the content of one request."""


class _Again(Exception):
    """An attempt that failed in a way that passes."""

    def __init__(
        self, problem: str, wait: float = 0.0, status: int | None = None, *, slow: bool = False
    ) -> None:
        super().__init__(problem)
        self.wait, self.status, self.slow = wait, status, slow


@dataclass(kw_only=True)
class _Door:
    """Connections of one event loop, and how many requests use them."""

    client: httpx.AsyncClient
    gate: Gate
    requests: int = 0


class Server:
    """Requests to one server, a bounded number at a time, each tried a bounded number of times.

    Args:
        address: of its /v1.
        concurrency: requests under way at the same time.
        attempts: how often a request is sent.
        patience: seconds one attempt may take.
        pause: seconds before the second attempt, doubled before each further one.
    """

    def __init__(
        self, address: Address, *, concurrency: int, attempts: int, patience: float, pause: float
    ) -> None:
        self.address = address
        self._concurrency = concurrency
        self._attempts = attempts
        self._patience = patience
        self._pause = pause
        self._doors: dict[asyncio.AbstractEventLoop, _Door] = {}

    async def ask(self, body: Mapping[str, Any], *, attempts: int | None = None) -> dict[str, Any]:
        """The server's answer to a chat completion.

        Args:
            body: the request.
            attempts: how often it is sent; None for as often as usual.

        Raises:
            RequestRefused: it refuses this request.
            UnreadableReply: it answers something else than a JSON object.
            ServerFails: HTTP 5xx at all attempts.
            Misconfigured: it refuses the key, the model or the address.
            Exhausted: no answer after all attempts, or none within `patience`.
        """
        answer = await self._send("POST", "/chat/completions", body, attempts or self._attempts)
        if not isinstance(answer, dict):
            raise UnreadableReply(
                "the server's answer is no chat completion", reply=self._shown(repr(answer))
            )
        try:
            written(answer)
        except UnreadableReply as error:
            raise UnreadableReply(error.problem, reply=self._shown(error.reply), usage=error.usage) from None
        except RequestRefused:
            pass  # a declined reply is an answer, and for whoever asked to read
        return answer

    async def models(self) -> list[str]:
        """The models that the server lists, in its order.

        Raises:
            Misconfigured: it lists none.
            BackendUnavailable: it does not answer.
        """
        try:
            answer = await self._send("GET", "/models", None, self._attempts)
        except (RequestRefused, UnreadableReply):
            answer = None
        listed = answer.get("data") if isinstance(answer, dict) else None
        names = [
            each["id"]
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict) and isinstance(each.get("id"), str) and each["id"]
        ]
        if not names:
            raise Misconfigured(
                f"the server {self.address.url} lists no model; set IMAGESCOPE_ENDPOINT_MODEL to its name"
            )
        return names

    @asynccontextmanager
    async def _door(self) -> AsyncIterator[_Door]:
        """The event loop's connections, closed with the last request: they must not outlive the loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._doors:
            patience = httpx.Timeout(self._patience, connect=10.0)
            client = httpx.AsyncClient(headers=self.address.headers, timeout=patience, verify=_certificates())
            self._doors[loop] = _Door(client=client, gate=Gate(self._concurrency))
        door = self._doors[loop]
        door.requests += 1
        try:
            yield door
        finally:
            door.requests -= 1
            if not door.requests:
                del self._doors[loop]
                await asyncio.shield(door.client.aclose())

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None, attempts: int) -> Any:
        """The answer; being asked to wait is no attempt, but all waits together are bounded."""
        sent = counted = 0
        waited = 0.0
        async with self._door() as door:
            while True:
                try:
                    return await self._once(door, method, path, body)
                except _Again as again:
                    failed = again
                held = failed.status == 429 and sent < 2 * self._attempts
                wait = min(self._pause * 2**sent, _LONGEST_WAIT) * random.uniform(0.75, 1.25)
                wait = max(wait, failed.wait)
                sent, counted = sent + 1, counted + (not held)
                if failed.slow or counted >= attempts or waited + wait > _ALL_WAITS:
                    break
                waited += wait
                if held:
                    door.gate.hold(wait)
                await asyncio.sleep(wait)
        kind = ServerFails if (failed.status or 0) >= 500 else Exhausted
        raise kind(
            f"the server {self.address.url} does not answer ({failed}, tried {sent} times); "
            "see that it runs, then start again: finished work is kept"
        )

    async def _once(self, door: _Door, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            async with door.gate, asyncio.timeout(self._patience):
                response = await self._followed(
                    door.client, method, self.address.url.rstrip("/") + path, body
                )
        except (httpx.TransportError, TimeoutError) as error:
            told = shorten(self.address.hide(str(error)), 80)
            slow = isinstance(error, TimeoutError | httpx.ReadTimeout | httpx.WriteTimeout)
            raise _Again(told or type(error).__name__, slow=slow) from error
        except httpx.DecodingError as error:
            raise UnreadableReply("the server's answer is badly compressed") from error
        if not response.is_success:
            self._refuse(response.status_code, response.text, response)
        if response.status_code == 202:
            raise _Again(
                f"HTTP 202: {self._shown(response.text)}",
                _wait(response),
            )
        answer = self._json(response)
        if (problem := error_of(answer)) is not None:
            self._refuse(problem.status, problem.text, response)
        return answer

    async def _followed(
        self, client: httpx.AsyncClient, method: str, url: str, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        """The response after redirects, each of which gets the request as it is."""
        for _ in range(_HOPS):
            response = await client.request(method, url, json=body)
            if response.status_code not in _MOVED:
                return response
            url = self.address.moved(url, response.headers.get("location", ""))
        raise Misconfigured(
            f"the server {self.address.url} redirects without end; set IMAGESCOPE_ENDPOINT to its /v1"
        )

    def _json(self, response: httpx.Response) -> Any:
        try:
            return json.loads(response.content, parse_int=_integer)
        except json.JSONDecodeError as error:
            raise self._not_json(response) from error
        except (ValueError, RecursionError) as error:  # not UTF-8, or nested beyond reason
            raise UnreadableReply(
                "the server's answer is no JSON in UTF-8", reply=self._shown(response.text)
            ) from error

    def _not_json(self, response: httpx.Response) -> Exception:
        """What an answer means that is not JSON: a page of a wrong address, a stream nobody asked for, a cut one."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        begins = response.text.lstrip()[:200].lower()
        if kind in ("text/html", "application/xhtml+xml") or begins.startswith(("<!doctype", "<html")):
            return Denied(
                f"the server {self.address.url} answers with a page of {kind or 'HTML'}, as a wrong address does; "
                "set IMAGESCOPE_ENDPOINT to its /v1"
            )
        if "stream" in kind or "ndjson" in kind or "jsonl" in kind or begins.startswith(("data:", "event:")):
            return UnreadableReply(
                f"the server answers with a stream ({kind or 'no content type'}) where one JSON object is asked for",
                reply=self._shown(response.text),
            )
        return _Again(f"an answer that is not JSON but {kind or 'of no content type'}")

    def _refuse(self, status: int, text: str, response: httpx.Response) -> None:
        """Raise what the status means."""
        url, told = self.address.url, self._shown(text)
        if status in (403, 429) and _SPENT.search(f"{text} {response.text[:2000]}"):
            raise Misconfigured(
                f"the server {url} has no credit left for this key (HTTP {status}: {told}); mend the account, "
                "or set IMAGESCOPE_ENDPOINT_KEY to another"
            )
        if status == 429 and _TOO_LARGE.search(text):
            raise RequestRefused(
                f"the server {url} refuses the request (HTTP 429: {told}); ask for less at once"
            )
        if status in _AGAIN or status >= 500:
            raise _Again(
                f"HTTP {status}" + (f": {shorten(told, 80)}" if told else ""),
                _wait(response),
                status,
            )
        if status == 401 or status == 402:
            raise (Denied if status == 402 else Misconfigured)(
                f"the server {url} refuses the key (HTTP {status}: {told}); set IMAGESCOPE_ENDPOINT_KEY"
            )
        if status == 403:
            raise Denied(f"the server {url} refuses the key (HTTP 403: {told}); set IMAGESCOPE_ENDPOINT_KEY")
        if status in (404, 405):
            raise Denied(
                f"the server {url} does not know the model or the address (HTTP {status}: {told}); "
                "mend IMAGESCOPE_ENDPOINT or IMAGESCOPE_ENDPOINT_MODEL"
            )
        if status < 400:
            raise Misconfigured(
                f"the server {url} answers HTTP {status}, which is no answer; mend IMAGESCOPE_ENDPOINT"
            )
        raise RequestRefused(
            f"the server {url} refuses the request (HTTP {status}): {told}; "
            "mend the profile's options, or how the server was started"
        )

    def _shown(self, text: str) -> str:
        return shorten(self.address.hide(text), 160)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than most requests, and connections live no longer than their event loop."""
    return httpx.create_ssl_context()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf


def _wait(response: httpx.Response) -> float:
    return retry_after(response.headers.get("retry-after", ""))

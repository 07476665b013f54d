"""Requests to an OpenAI-compatible server: sent in bounded time, repeated where that can help, refusals told apart."""

from __future__ import annotations

import asyncio
import json
import math
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from imagescope_agent.errors import (
    BackendUnavailable,
    Misconfigured,
    RequestRefused,
    UnreadableReply,
    shorten,
)
from imagescope_agent.mllms.address import Address
from imagescope_agent.mllms.wire import error_of, written

_AGAIN = frozenset({408, 409, 425, 429})  # and every 5xx
_MOVED = frozenset({301, 302, 303, 307, 308})
_FAILS = frozenset({500, 501})  # said of a request that the server cannot serve, too
_HOPS = 5
_LONGEST_WAIT = 30.0
_LONGEST_INTEGER = 18  # digits; what is longer counts nothing, and Python refuses to read thousands of them


class ServerFails(BackendUnavailable):
    """Every attempt ended in HTTP 500: the server is there, and what it was asked may be the reason."""


class Denied(Misconfigured):
    """HTTP 403 or 404: mostly the key or the model, with some servers the content of one request."""


class _Again(Exception):
    """An attempt that failed in a way that passes."""

    def __init__(self, problem: str, wait: float = 0.0, status: int | None = None) -> None:
        super().__init__(problem)
        self.wait, self.status = wait, status


@dataclass(kw_only=True)
class _Door:
    """Connections of one event loop, and how many requests use them."""

    client: httpx.AsyncClient
    gate: asyncio.Semaphore
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

    async def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer to a chat completion.

        Raises:
            RequestRefused: it refuses this request.
            UnreadableReply: it answers something else than a JSON object.
            ServerFails: HTTP 500 at all attempts.
            Misconfigured: it refuses the key, the model or the address.
            BackendUnavailable: no answer after all attempts.
        """
        answer = await self._send("POST", "/chat/completions", body)
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
            answer = await self._send("GET", "/models", None)
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
            self._doors[loop] = _Door(client=client, gate=asyncio.Semaphore(self._concurrency))
        door = self._doors[loop]
        door.requests += 1
        try:
            yield door
        finally:
            door.requests -= 1
            if not door.requests:
                del self._doors[loop]
                await asyncio.shield(door.client.aclose())

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        failed = _Again("never sent")
        async with self._door() as door:
            for attempt in range(self._attempts):
                try:
                    return await self._once(door, method, path, body)
                except _Again as again:
                    failed = again
                wait = max(self._pause * 2**attempt * random.uniform(0.75, 1.25), failed.wait)
                if attempt + 1 < self._attempts:
                    await asyncio.sleep(min(wait, _LONGEST_WAIT))
        kind = ServerFails if failed.status in _FAILS else BackendUnavailable
        raise kind(
            f"the server {self.address.url} does not answer ({failed}, tried {self._attempts} times); "
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
            raise _Again(told or type(error).__name__) from error
        except httpx.DecodingError as error:
            raise UnreadableReply("the server's answer is badly compressed") from error
        if not response.is_success:
            self._refuse(response.status_code, response.text, response)
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
            raise _Again("an answer that is not JSON") from error
        except (ValueError, RecursionError) as error:  # not UTF-8, or nested beyond reason
            raise UnreadableReply(
                "the server's answer is no JSON in UTF-8", reply=self._shown(response.text)
            ) from error

    def _refuse(self, status: int, text: str, response: httpx.Response) -> None:
        """Raise what the status means."""
        url, told = self.address.url, self._shown(text)
        if status in _AGAIN or status >= 500:
            raise _Again(
                f"HTTP {status}" + (f": {shorten(told, 80)}" if told else ""), _retry_after(response), status
            )
        if status == 401 or status == 402:
            raise Misconfigured(
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


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0  # a date: the pause of our own will do

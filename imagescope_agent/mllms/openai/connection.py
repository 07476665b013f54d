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
    Exhausted,
    GatewayFails,
    Misconfigured,
    RequestRefused,
    ServerFails,
    UnreadableReply,
    shorten,
)
from imagescope_agent.mllms.openai.address import Address
from imagescope_agent.mllms.openai.failures import Again, Held, TimedOut, not_json, refuse, shown, wait_of
from imagescope_agent.mllms.openai.rate_limit import Gate
from imagescope_agent.mllms.openai.responses import error_of, written
from imagescope_agent.mllms.provider_errors import GATEWAY

_MOVED = frozenset({301, 302, 303, 307, 308})
_HOPS = 5
_LONGEST_WAIT = 30.0
_ALL_WAITS = 60.0  # seconds that a request is held back in all by a server that is asked too much
_LONGEST_INTEGER = 18  # digits; what is longer counts nothing, and Python refuses to read thousands of them


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
        alone: whether there is no other to ask; else nothing is waited for after HTTP 429.

    Attributes:
        heard: how many answers it gave, refusals of a request included.
    """

    def __init__(
        self,
        address: Address,
        *,
        concurrency: int,
        attempts: int,
        patience: float,
        pause: float,
        alone: bool = True,
    ) -> None:
        self.address = address
        self.heard = 0
        self._concurrency = concurrency
        self._attempts = attempts
        self._patience = patience
        self._pause = pause
        self._alone = alone
        self._doors: dict[asyncio.AbstractEventLoop, _Door] = {}

    async def ask(self, body: Mapping[str, Any], *, attempts: int | None = None) -> dict[str, Any]:
        """The server's answer to a chat completion.

        Args:
            body: the request.
            attempts: how often it is sent; None for as often as usual.

        Raises:
            RequestRefused: it refuses this request.
            UnreadableReply: it answers something else than a JSON object.
            ServerFails: HTTP 5xx at all attempts (GatewayFails: 502 or 504).
            Misconfigured: it refuses the key, the model or the address.
            Exhausted: no answer after all attempts, or none within `patience` (TimedOut).
            Held: it asks to wait, and is not alone.
        """
        answer = await self._send("POST", "/chat/completions", body, attempts or self._attempts)
        if not isinstance(answer, dict):
            raise UnreadableReply(
                "the server's answer is no chat completion", reply=shown(self.address, repr(answer))
            )
        try:
            written(answer)
        except UnreadableReply as error:
            raise UnreadableReply(
                error.problem, reply=shown(self.address, error.reply), usage=error.usage
            ) from None
        except RequestRefused:
            pass  # a declined reply is an answer, and for whoever asked to read
        return answer

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer to something else than a chat completion.

        Raises:
            RequestRefused, UnreadableReply, BackendUnavailable: as `ask`.
        """
        answer = await self._send("POST", path, body, self._attempts)
        if not isinstance(answer, dict):
            raise UnreadableReply("the server's answer is no object", reply=shown(self.address, repr(answer)))
        return answer

    async def models(self) -> list[str]:
        """The models that the server lists, in its order.

        Raises:
            Misconfigured: it lists none.
            BackendUnavailable: it does not answer.
        """
        try:
            names = [each["id"] for each in await self.listed(self._attempts)]
        except (RequestRefused, UnreadableReply):
            names = []
        if not names:
            raise Misconfigured(
                f"the server {self.address.url} lists no model; set IMAGESCOPE_ENDPOINT_MODEL to its name"
            )
        return names

    async def listed(self, attempts: int = 1) -> list[dict[str, Any]]:
        """What the server says of each of its models; "id" is the name.

        Raises:
            RequestRefused, UnreadableReply, BackendUnavailable: as `ask`.
        """
        answer = await self._send("GET", "/models", None, attempts)
        listed = answer.get("data") if isinstance(answer, dict) else None
        return [
            each
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict) and isinstance(each.get("id"), str) and each["id"]
        ]

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
                    answer = await self._once(door, method, path, body)
                except RequestRefused:
                    self.heard += 1
                    raise
                except Again as again:
                    failed = again
                else:
                    self.heard += 1
                    return answer
                if failed.status == 429 and not self._alone:
                    raise Held(f"the server {self.address.url} is asked too much ({failed})", failed.wait)
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
        gateway, status = failed.status in GATEWAY, failed.status or 0
        kind = GatewayFails if gateway else ServerFails if status >= 500 else Exhausted
        kind = TimedOut if failed.slow else kind
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
            raise Again(told or type(error).__name__, slow=slow) from error
        except httpx.DecodingError as error:
            raise UnreadableReply("the server's answer is badly compressed") from error
        if not response.is_success:
            refuse(self.address, response.status_code, response.text, response)
        if response.status_code == 202:
            raise Again(
                f"HTTP 202: {shown(self.address, response.text)}",
                wait_of(response),
            )
        answer = self._json(response)
        if (problem := error_of(answer)) is not None:
            refuse(self.address, problem.status, problem.text, response)
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
            raise not_json(self.address, response) from error
        except (ValueError, RecursionError) as error:  # not UTF-8, or nested beyond reason
            raise UnreadableReply(
                "the server's answer is no JSON in UTF-8", reply=shown(self.address, response.text)
            ) from error


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than most requests, and connections live no longer than their event loop."""
    return httpx.create_ssl_context()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf

"""Speaking to an OpenAI-compatible server: requests, retries in bounded time, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from langchain_core.messages import BaseMessage

from imagescope_agent.errors import BackendUnavailable, BadInput, UnreadableReply, shorten

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, kw_only=True)
class Powers:
    """Which requests a server heeds; some ignore what they do not know without a word."""

    logprobs: bool
    schema: bool


@dataclass(kw_only=True)
class _Door:
    """Connections of one event loop, and how many requests use them."""

    client: httpx.AsyncClient
    gate: asyncio.Semaphore
    requests: int = 0


class Server:
    """Requests to one server, a bounded number at a time, each tried a bounded number of times.

    Args:
        url: of its /v1.
        key: sent as a bearer token unless empty.
        concurrency: requests under way at the same time.
        attempts: how often a request is sent.
        patience: seconds one attempt may take.
        pause: seconds before the second attempt, doubled before each further one.
    """

    def __init__(
        self, *, url: str, key: str, concurrency: int, attempts: int, patience: float, pause: float
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._concurrency = concurrency
        self._attempts = attempts
        self._patience = patience
        self._pause = pause
        self._doors: dict[asyncio.AbstractEventLoop, _Door] = {}

    async def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer to a chat completion.

        Raises:
            BackendUnavailable: no answer after all attempts, or it refuses the key.
            BadInput: it refuses the request.
            UnreadableReply: it answers something else than a chat completion.
        """
        answer: dict[str, Any] = await self._send("POST", "/chat/completions", body)
        try:
            answer["choices"][0]["message"]
        except (KeyError, IndexError, TypeError) as error:
            raise UnreadableReply(
                "the server's answer is no chat completion", reply=json.dumps(answer)
            ) from error
        return answer

    async def first_model(self) -> str:
        """The first model that the server lists.

        Raises:
            BackendUnavailable: it lists none.
        """
        answer = await self._send("GET", "/models", None)
        try:
            return str(answer["data"][0]["id"])
        except (KeyError, IndexError, TypeError) as error:
            raise BackendUnavailable(
                f"the server {self.url} lists no model; set IMAGESCOPE_ENDPOINT_MODEL to its name"
            ) from error

    async def probe(self, model: str) -> Powers:
        """Ask two small questions whose answers show what is heeded.

        Raises:
            BackendUnavailable: it does not answer.
        """
        question = [{"role": "user", "content": "Say Yes."}]
        weighed = {"model": model, "messages": question, "max_tokens": 1, "logprobs": True, "top_logprobs": 2}
        # a value that no model gives by chance: whoever returns it was held to the schema
        token = "imagescope-7319"
        properties = {"seen": {"type": "string", "enum": [token]}}
        schema = {
            "type": "object",
            "properties": properties,
            "required": ["seen"],
            "additionalProperties": False,
        }
        described = {"name": "probe", "strict": True, "schema": schema}
        held = {
            "model": model,
            "messages": question,
            "max_tokens": 64,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": described},
        }
        return Powers(
            logprobs=bool(_weights(await self._permitted(weighed))),
            schema=_holds(await self._permitted(held), token),
        )

    async def _permitted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self.ask(body)
        except (BadInput, UnreadableReply):
            return {}  # a server that refuses the option does not have the power

    @asynccontextmanager
    async def _door(self) -> AsyncIterator[_Door]:
        """The event loop's connections, closed with the last request: they must not outlive the loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._doors:
            patience = httpx.Timeout(self._patience, connect=10.0)
            client = httpx.AsyncClient(headers=self._headers, timeout=patience)
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
        async with self._door() as door:
            return await self._tried(door, method, path, body)

    async def _tried(self, door: _Door, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        problem = ""
        for attempt in range(self._attempts):
            wait = self._pause * 2**attempt * random.uniform(0.75, 1.25)
            try:
                async with door.gate, asyncio.timeout(self._patience):
                    response = await door.client.request(method, self.url + path, json=body)
                if response.status_code not in _AGAIN:
                    return self._read(response)
                problem = f"HTTP {response.status_code}"
                wait = max(wait, _retry_after(response))
            except (httpx.TransportError, TimeoutError) as error:
                problem = type(error).__name__ if not str(error) else shorten(str(error), 80)
            except json.JSONDecodeError:
                problem = "an answer that is not JSON"
            if attempt + 1 < self._attempts:
                await asyncio.sleep(min(wait, _LONGEST_WAIT))
        raise BackendUnavailable(
            f"the server {self.url} does not answer ({problem}, tried {self._attempts} times); "
            "see that it runs, then start again: finished work is kept"
        )

    def _read(self, response: httpx.Response) -> Any:
        if response.status_code in (401, 403):
            raise BackendUnavailable(
                f"the server {self.url} refuses the key (HTTP {response.status_code}); "
                "set IMAGESCOPE_ENDPOINT_KEY"
            )
        if response.status_code == 404:
            raise BackendUnavailable(
                f"the server {self.url} does not know the model or the address (HTTP 404: "
                f"{shorten(response.text, 100)}); mend IMAGESCOPE_ENDPOINT or IMAGESCOPE_ENDPOINT_MODEL"
            )
        if response.status_code >= 400:
            raise BadInput(
                f"the server {self.url} refuses the request (HTTP {response.status_code}): "
                f"{shorten(response.text, 160)}; mend the profile's options, or how the server was started"
            )
        return response.json()


def payload(
    model: str,
    messages: Sequence[BaseMessage],
    max_tokens: int,
    stop: Sequence[str] | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The body of a chat completion, pictures as data URLs in the order they stand.

    Raises:
        BadInput: a kind of message that servers do not take.
    """
    body: dict[str, Any] = {"model": model, "messages": [], "max_tokens": max_tokens, "temperature": 0}
    for message in messages:
        if message.type not in _ROLES:
            raise BadInput(
                f"a message of type {message.type!r} cannot be sent to a server; use human, ai or system"
            )
        content = message.content
        parts = content if isinstance(content, str) else [_part(part) for part in content]
        body["messages"].append({"role": _ROLES[message.type], "content": parts})
    if stop:
        body["stop"] = list(stop)
    return {**body, **extra}


def reply_text(answer: Mapping[str, Any]) -> str:
    """What the server wrote."""
    return str(answer["choices"][0]["message"].get("content") or "")


def token_counts(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens read and written, 0 where the server does not say."""
    usage = answer.get("usage") or {}
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


def first_token_probabilities(answer: Mapping[str, Any], choices: Sequence[str]) -> list[float] | None:
    """Probabilities of the choices from the weights of the first token; None when none was weighed.

    A token speaks for the choice that it is the beginning of, and for no other. A choice that was not weighed
    gets what the weighed tokens leave over, at most the least of them.
    """
    weights = _weights(answer)
    mass = [0.0] * len(choices)
    least = min((math.exp(weight) for _, weight in weights), default=0.0)
    left = max(0.0, 1.0 - sum(math.exp(weight) for _, weight in weights))
    for token, weight in weights:
        text = token.strip().strip("▁Ġ").casefold()
        spoken = [
            place for place, choice in enumerate(choices) if text and choice.casefold().startswith(text)
        ]
        if len(spoken) == 1:
            mass[spoken[0]] += math.exp(weight)
    if not any(mass):
        return None
    mass = [each or min(least, left) for each in mass]
    return [each / sum(mass) for each in mass]


def _weights(answer: Mapping[str, Any]) -> list[tuple[str, float]]:
    try:
        first = answer["choices"][0]["logprobs"]["content"][0]
        return [(str(each["token"]), float(each["logprob"])) for each in first["top_logprobs"]]
    except (KeyError, IndexError, TypeError, ValueError):
        return []


def _holds(answer: Mapping[str, Any], token: str) -> bool:
    try:
        return bool(json.loads(reply_text(answer)) == {"seen": token})
    except (KeyError, IndexError, TypeError, ValueError):
        return False


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.get("type") == "image" and "base64" in part:
        url = f"data:{part.get('mime_type', 'image/png')};base64,{part['base64']}"
        return {"type": "image_url", "image_url": {"url": url}}
    if part.get("type") in ("text", "image_url"):
        return dict(part)
    raise BadInput(f"content of type {part.get('type')!r} cannot be sent to a server; use text or image")


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0  # a date: the pause of our own will do

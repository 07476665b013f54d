"""A thin client of `imagescope serve`, synchronous and asynchronous; answers are the service's JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError, Misconfigured

Image = str | Path | bytes
Event = tuple[str, dict[str, Any]]
TIMEOUT = 300.0  # seconds


def picture(image: Image | None) -> str | None:
    """An image as the service takes it: a string is an id, a path or bytes are sent.

    Raises:
        BadInput: the file cannot be read.
    """
    if image is None or isinstance(image, str):
        return image
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {str(image)!r}: {error.strerror}; give another file") from error
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode("ascii")


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a successful response.

    Raises:
        BadInput, Misconfigured, BackendUnavailable, ImageScopeError: by the service's status, with its message.
    """
    if response.is_success:
        found: dict[str, Any] = response.json() if response.content else {}
        return found
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        message = f"{response.url} answers {response.status_code}; is it `imagescope serve`?"
    status = response.status_code
    kind = {401: Misconfigured, 422: BadInput, 429: BackendUnavailable, 503: BackendUnavailable}.get(status)
    raise (kind or (BadInput if status < 500 else ImageScopeError))(message)


class _Requests:
    """What is asked of the service: paths and bodies, the same for both clients."""

    def __init__(self, url: str, *, key: str = "", collection: str | None = None) -> None:
        self.options: dict[str, Any] = {
            "base_url": url,
            "timeout": TIMEOUT,
            "headers": {"authorization": f"Bearer {key}"} if key else {},
        }
        self.collection = collection

    def search(self, text: str, image: Image | None, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a search; `graph`, `k`, `run` and `rejected` stand beside the settings."""
        beside = {name: settings[name] for name in ("graph", "k", "run", "rejected") if name in settings}
        inner = {name: value for name, value in settings.items() if name not in beside}
        return self.named({"text": text, "image": picture(image), "settings": inner, **beside})

    def rerank(self, query: Any, documents: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a reranking; paths and bytes are sent as pictures."""
        shown = [picture(each) if isinstance(each, Path | bytes) else each for each in documents]
        return self.named({"query": query, "documents": shown, **options})

    def named(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the collection, if one was named."""
        return body if self.collection is None else {**body, "collection": self.collection}

    @property
    def params(self) -> dict[str, str]:
        """The query parameters that name the collection."""
        return {} if self.collection is None else {"collection": self.collection}


def events_of(lines: Sequence[str]) -> Event:
    """The name and the data of one server-sent event."""
    name = next(line for line in lines if line.startswith("event: ")).removeprefix("event: ")
    data = "".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    return name, json.loads(data)


class Client:
    """A service, asked from ordinary code.

    Args:
        url: its address, as http://127.0.0.1:8000.
        key: the API key, if it wants one.
        collection: which of its collections; None where it has one.
    """

    def __init__(self, url: str, *, key: str = "", collection: str | None = None) -> None:
        self._asked = _Requests(url, key=key, collection=collection)
        self._http = httpx.Client(**self._asked.options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def search(self, text: str, image: Image | None = None, **settings: Any) -> dict[str, Any]:
        """One search; `settings` as in `ImageScope.search`, and `graph`."""
        return answer_of(self._http.post("/v1/search", json=self._asked.search(text, image, settings)))

    def stream(self, text: str, image: Image | None = None, **settings: Any) -> Iterator[Event]:
        """As `search`: (event, data) of each step as it ends, the last one "result" or "error"."""
        body, lines = self._asked.search(text, image, settings), list[str]()
        with self._http.stream("POST", "/v1/search/stream", json=body) as response:
            if not response.is_success:
                response.read()
                answer_of(response)
            for line in response.iter_lines():
                if line:
                    lines.append(line)
                elif lines:
                    yield events_of(lines)
                    lines = []

    def rerank(self, query: Any, documents: Sequence[Any], **options: Any) -> dict[str, Any]:
        """Order documents; `options` are model, top_n and return_documents."""
        return answer_of(self._http.post("/v1/rerank", json=self._asked.rerank(query, documents, options)))

    def say(self, thread: str, message: str, image: Image | None = None) -> dict[str, Any]:
        """One turn of a conversation, which begins where there is none of that name."""
        made = self._http.get(f"/v1/threads/{thread}", params=self._asked.params)
        if made.status_code == httpx.codes.NOT_FOUND:
            answer_of(self._http.post("/v1/threads", params=self._asked.params, json={"thread": thread}))
        body = {"message": message, "image": picture(image)}
        return answer_of(self._http.post(f"/v1/threads/{thread}/say", params=self._asked.params, json=body))

    def image(self, name: str) -> bytes:
        """An image of the collection, its longest side at most 1024 pixels."""
        response = self._http.get(f"/v1/images/{name}", params=self._asked.params)
        return response.content if response.is_success else answer_of(response)["image"]  # which raises


class AsyncClient:
    """As `Client`, inside an event loop."""

    def __init__(self, url: str, *, key: str = "", collection: str | None = None) -> None:
        self._asked = _Requests(url, key=key, collection=collection)
        self._http = httpx.AsyncClient(**self._asked.options)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def search(self, text: str, image: Image | None = None, **settings: Any) -> dict[str, Any]:
        """As `Client.search`."""
        return answer_of(await self._http.post("/v1/search", json=self._asked.search(text, image, settings)))

    async def stream(self, text: str, image: Image | None = None, **settings: Any) -> AsyncIterator[Event]:
        """As `Client.stream`."""
        body, lines = self._asked.search(text, image, settings), list[str]()
        async with self._http.stream("POST", "/v1/search/stream", json=body) as response:
            if not response.is_success:
                await response.aread()
                answer_of(response)
            async for line in response.aiter_lines():
                if line:
                    lines.append(line)
                elif lines:
                    yield events_of(lines)
                    lines = []

    async def rerank(self, query: Any, documents: Sequence[Any], **options: Any) -> dict[str, Any]:
        """As `Client.rerank`."""
        return answer_of(
            await self._http.post("/v1/rerank", json=self._asked.rerank(query, documents, options))
        )

"""A thin client of `imagescope serve`, synchronous and asynchronous; answers are the service's JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from typing import Any

import httpx

from imagescope_agent.client.calls import ROUTES, Calls, place_of
from imagescope_agent.client.wire import Event, EventReader, Image, Json, json_of, require_success, sent

__all__ = ["ROUTES", "AsyncClient", "Client", "Event", "Image"]


class Client(Calls[Json, bytes, Iterator[Event]]):
    """A service, asked from ordinary code; see `ROUTES`."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._http = httpx.Client(**self._options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _ask(self, route: str, body: Any, query: Any, parts: Mapping[str, str]) -> httpx.Response:
        with self._connected():
            response = self._http.request(*place_of(route, parts), params=query, **sent(body))
        require_success(response)
        return response

    def _object(self, route: str, body: Any = None, query: Any = None, **parts: str) -> Json:
        return json_of(self._ask(route, body, query, parts))

    def _content(self, route: str, query: Any = None, **parts: str) -> bytes:
        return self._ask(route, None, query, parts).content

    def _events(self, route: str, body: Any = None, query: Any = None, **parts: str) -> Iterator[Event]:
        reader, place = EventReader(), place_of(route, parts)
        with self._connected(), self._http.stream(*place, params=query, **sent(body)) as response:
            if not response.is_success:
                response.read()
            require_success(response)
            for line in response.iter_lines():
                if event := reader.read(line):
                    yield event


class AsyncClient(Calls[Coroutine[Any, Any, Json], Coroutine[Any, Any, bytes], AsyncIterator[Event]]):
    """As `Client`, inside an event loop."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._http = httpx.AsyncClient(**self._options)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _ask(self, route: str, body: Any, query: Any, parts: Mapping[str, str]) -> httpx.Response:
        with self._connected():
            response = await self._http.request(*place_of(route, parts), params=query, **sent(body))
        require_success(response)
        return response

    async def _object(self, route: str, body: Any = None, query: Any = None, **parts: str) -> Json:
        return json_of(await self._ask(route, body, query, parts))

    async def _content(self, route: str, query: Any = None, **parts: str) -> bytes:
        return (await self._ask(route, None, query, parts)).content

    async def _events(
        self, route: str, body: Any = None, query: Any = None, **parts: str
    ) -> AsyncIterator[Event]:
        reader, place = EventReader(), place_of(route, parts)
        with self._connected():
            async with self._http.stream(*place, params=query, **sent(body)) as response:
                if not response.is_success:
                    await response.aread()
                require_success(response)
                async for line in response.aiter_lines():
                    if event := reader.read(line):
                        yield event

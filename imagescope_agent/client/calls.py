"""The calls of the clients, each written once, and the route that each one asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from imagescope_agent.client.wire import Image, Json, content_of, picture, pictures, search_body
from imagescope_agent.errors import BackendUnavailable

TIMEOUT = 330.0  # seconds: a little longer than the service takes at most unless told otherwise

#: Which route each method asks: every one of the service, on both clients.
ROUTES: dict[str, tuple[str, str]] = {
    "search": ("POST", "/v1/search"),
    "batch": ("POST", "/v1/search/batch"),
    "stream": ("POST", "/v1/search/stream"),
    "rerank": ("POST", "/v1/rerank"),
    "threads": ("GET", "/v1/threads"),
    "create_thread": ("POST", "/v1/threads"),
    "thread": ("GET", "/v1/threads/{thread}"),
    "delete_thread": ("DELETE", "/v1/threads/{thread}"),
    "say": ("POST", "/v1/threads/{thread}/say"),
    "say_stream": ("POST", "/v1/threads/{thread}/say/stream"),
    "like": ("POST", "/v1/threads/{thread}/like"),
    "reject": ("POST", "/v1/threads/{thread}/reject"),
    "undo": ("POST", "/v1/threads/{thread}/undo"),
    "branch": ("POST", "/v1/threads/{thread}/branch"),
    "image": ("GET", "/v1/images/{name}"),
    "upload": ("POST", "/v1/uploads"),
    "run": ("GET", "/v1/runs/{run}"),
    "resume": ("POST", "/v1/runs/{run}/resume"),
    "trace": ("GET", "/v1/runs/{run}/trace"),
    "collections": ("GET", "/v1/collections"),
    "healthz": ("GET", "/healthz"),
    "readyz": ("GET", "/readyz"),
    "metrics": ("GET", "/metrics"),
}

_Object = TypeVar("_Object")  # what gives a JSON object: the object, or a coroutine of it
_Content = TypeVar("_Content")  # of bytes
_Events = TypeVar("_Events")  # of the events of a stream


class Calls(Generic[_Object, _Content, _Events]):
    """The calls of both clients.

    Args:
        url: address of the service, as http://127.0.0.1:8000.
        key: the API key, if it wants one.
        collection: which of its collections; None where it has one.
        timeout: seconds to wait for an answer.
    """

    def __init__(
        self, url: str, *, key: str = "", collection: str | None = None, timeout: float = TIMEOUT
    ) -> None:
        self._options: dict[str, Any] = {
            "base_url": url,
            "timeout": timeout,
            "headers": {"authorization": f"Bearer {key}"} if key else {},
        }
        self._url, self._named = url, {} if collection is None else {"collection": collection}

    def search(self, text: str, image: Image | None = None, **settings: Any) -> _Object:
        """One search; `settings` as in `ImageScope.search`, and `graph`."""
        return self._object("search", {**search_body(text, image, settings), **self._named})

    def batch(self, searches: Sequence[Mapping[str, Any]]) -> _Object:
        """Several searches, each the arguments of `search`: {"results": [{"result", "error"}]} in their order."""
        bodies = [search_body(each["text"], each.get("image"), _without(each)) for each in searches]
        return self._object("batch", {"searches": [{**body, **self._named} for body in bodies]})

    def stream(self, text: str, image: Image | None = None, **settings: Any) -> _Events:
        """As `search`: (event, data) of each step as it ends, the last one "result" or "error"."""
        return self._events("stream", {**search_body(text, image, settings), **self._named})

    def rerank(self, query: Any, documents: Sequence[Any], **options: Any) -> _Object:
        """Order documents, paths and bytes sent as pictures; `options` are model, top_n and return_documents."""
        shown = [picture(each) if isinstance(each, Path | bytes) else each for each in documents]
        return self._object("rerank", {"query": query, "documents": shown, **options, **self._named})

    def threads(self) -> _Object:
        """Every conversation about the collection: {"threads": [...]}, the last used one first."""
        return self._object("threads", query=self._named)

    def create_thread(self, thread: str | None = None) -> _Object:
        """Begin a conversation, under a name of its own when None."""
        return self._object("create_thread", {"thread": thread}, self._named)

    def thread(self, thread: str) -> _Object:
        """A conversation and its finished turns."""
        return self._object("thread", query=self._named, thread=thread)

    def delete_thread(self, thread: str) -> _Object:
        """Delete a conversation; {}."""
        return self._object("delete_thread", query=self._named, thread=thread)

    def say(
        self, thread: str, message: str, image: Image | None = None, *,
        images: Sequence[Image] = (), unlike: Sequence[Image] = (),
    ) -> _Object:  # fmt: skip
        """One turn of a conversation, which begins where there is none of that name.

        `images` and `unlike` as in `search`.
        """
        body = {"message": message, "image": picture(image), "begin": True, **_brought(images, unlike)}
        return self._object("say", body, self._named, thread=thread)

    def say_stream(
        self, thread: str, message: str, image: Image | None = None, *,
        images: Sequence[Image] = (), unlike: Sequence[Image] = (),
    ) -> _Events:  # fmt: skip
        """As `say`: (event, data) of each step as it ends, the last one "turn" or "error"."""
        body = {"message": message, "image": picture(image), "begin": True, **_brought(images, unlike)}
        return self._events("say_stream", body, self._named, thread=thread)

    def like(self, thread: str, rank: int) -> _Object:
        """A turn that searches for more like the image at a rank of the last results."""
        return self._object("like", {"rank": rank}, self._named, thread=thread)

    def reject(self, thread: str, rank: int) -> _Object:
        """A turn that leaves out the image at a rank of the last results from now on."""
        return self._object("reject", {"rank": rank}, self._named, thread=thread)

    def undo(self, thread: str) -> _Object:
        """Take the last turn back; what is left."""
        return self._object("undo", query=self._named, thread=thread)

    def branch(self, thread: str, turn: int | None = None, name: str | None = None) -> _Object:
        """A new conversation that goes on from after a turn of this one."""
        return self._object("branch", {"turn": turn, "thread": name}, self._named, thread=thread)

    def image(self, name: str, side: int | None = None) -> _Content:
        """An image of the collection, its longest side at most 1024 pixels; a thumbnail of `side` pixels."""
        size = {} if side is None else {"side": str(side)}
        return self._content("image", {**self._named, **size}, name=name)

    def upload(self, image: Path | bytes) -> _Object:
        """Keep a picture with the service; {"id"} stands wherever a call takes an image."""
        return self._object("upload", content_of(image), self._named)

    def run(self, run: str) -> _Object:
        """A kept run: whether it is finished, and its result."""
        return self._object("run", query=self._named, run=run)

    def resume(self, run: str) -> _Object:
        """Finish a run that was cut off."""
        return self._object("resume", query=self._named, run=run)

    def trace(self, run: str) -> _Object:
        """What every step of a run did."""
        return self._object("trace", query={**self._named, "form": "json"}, run=run)

    def collections(self) -> _Object:
        """The collections that the key opens, and the graphs and judges there are."""
        return self._object("collections")

    def healthz(self) -> _Content:
        """Whether the process answers."""
        return self._content("healthz")

    def readyz(self) -> _Object:
        """Whether the collections are open."""
        return self._object("readyz")

    def metrics(self) -> _Content:
        """The metrics, in the text format of Prometheus."""
        return self._content("metrics")

    def _object(self, route: str, body: Any = None, query: Any = None, **parts: str) -> _Object:
        raise NotImplementedError

    def _content(self, route: str, query: Any = None, **parts: str) -> _Content:
        raise NotImplementedError

    def _events(self, route: str, body: Any = None, query: Any = None, **parts: str) -> _Events:
        raise NotImplementedError

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise BackendUnavailable(
                f"{self._url} gives no answer ({why}); is the service running?"
            ) from error


def place_of(route: str, parts: Mapping[str, str]) -> tuple[str, str]:
    """Method and path of a route; only the ids of images have folders."""
    method, path = ROUTES[route]
    safe = "/" if route == "image" else ""
    return method, path.format(**{part: quote(value, safe=safe) for part, value in parts.items()})


def _brought(images: Sequence[Image], unlike: Sequence[Image]) -> Json:
    """The pictures of a message; a list that is empty is not sent."""
    return pictures({name: each for name, each in (("images", images), ("unlike", unlike)) if each})


def _without(search: Mapping[str, Any]) -> Json:
    return {name: value for name, value in search.items() if name not in ("text", "image")}

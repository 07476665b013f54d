"""The clients reach every route of the service, and both give the same."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.client import ROUTES, AsyncClient, Client
from imagescope_agent.client.calls import Calls
from imagescope_agent.client.wire import EventReader
from imagescope_agent.errors import BackendUnavailable, BadInput
from tests.service.conftest import Serving


def picture(folder: Path) -> bytes:
    """A picture that is not in the collection."""
    buffer = io.BytesIO()
    with Image.open(folder / "000001.png") as image:
        image.rotate(90).save(buffer, "PNG")
    return buffer.getvalue()


#: What each method is asked, in this order.
CALLS: list[tuple[str, Callable[[Any, Path], Any]]] = [
    ("healthz", lambda client, folder: client.healthz()),
    ("readyz", lambda client, folder: client.readyz()),
    ("collections", lambda client, folder: client.collections()),
    ("search", lambda client, folder: client.search("a red car", k=3, graph="retrieve", run="by-client")),
    ("run", lambda client, folder: client.run("by-client")),
    ("resume", lambda client, folder: client.resume("by-client")),
    ("trace", lambda client, folder: client.trace("by-client")),
    (
        "batch",
        lambda client, folder: client.batch([{"text": "a tree", "graph": "retrieve", "k": 2}, {"text": ""}]),
    ),
    ("stream", lambda client, folder: client.stream("a house", folder / "000002.png", k=2, graph="retrieve")),
    ("rerank", lambda client, folder: client.rerank("a red car", ["000001.png", folder / "000002.png"])),
    ("create_thread", lambda client, folder: client.create_thread("first")),
    ("say", lambda client, folder: client.say("first", "a red car", folder / "000003.png")),
    ("say_stream", lambda client, folder: client.say_stream("second", "a tree")),
    ("like", lambda client, folder: client.like("first", 1)),
    ("reject", lambda client, folder: client.reject("first", 2)),
    ("thread", lambda client, folder: client.thread("first")),
    ("undo", lambda client, folder: client.undo("first")),
    ("branch", lambda client, folder: client.branch("first", 1, "third")),
    ("threads", lambda client, folder: client.threads()),
    ("image", lambda client, folder: client.image("000001.png", side=32)),
    ("upload", lambda client, folder: client.upload(picture(folder))),
    ("delete_thread", lambda client, folder: client.delete_thread("first")),
    ("metrics", lambda client, folder: client.metrics()),
]
CHANGING = ("usage", "run", "id", "seconds", "at", "url")  # of an answer, from one time to the next


def plain(value: Any) -> Any:
    """An answer without what may differ from one time to the next."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if name not in CHANGING}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def steady(value: Any) -> Any:
    """An answer as `plain` gives it, whose numbers equal those that differ in the last digits only."""
    value = plain(value)
    if isinstance(value, dict):
        return {name: steady(each) for name, each in value.items()}
    if isinstance(value, float):
        # A service puts questions together as they arrive, and rows of another batch end in other last digits.
        return pytest.approx(value, rel=1e-3, abs=1e-6)
    return [steady(each) for each in value] if isinstance(value, list | tuple) else value


async def every_call(client: Any, folder: Path) -> dict[str, Any]:
    found = {}
    for name, call in CALLS:
        given = call(client, folder)
        if inspect.isawaitable(given):
            given = await given
        elif hasattr(given, "__aiter__"):
            given = [event async for event in given]
        elif hasattr(given, "__next__"):
            given = [*given]
        found[name] = given
    return found


def test_every_route_of_the_service_is_a_method(serving: Serving) -> None:
    document = serving.client.get("/openapi.json").json()
    served = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert set(ROUTES.values()) == served
    for kind in (Client, AsyncClient):
        assert set(ROUTES) == {name for name in vars(Calls) if not name.startswith("_")}
        assert all(callable(getattr(kind, name)) for name in ROUTES)
    assert {name for name, _ in CALLS} == set(ROUTES)


def test_both_clients_give_the_same_from_every_route(serving: Serving) -> None:
    def clean() -> None:
        with Client(serving.address) as client:
            for row in client.threads()["threads"]:
                client.delete_thread(row["thread"])

    async def by_async() -> dict[str, Any]:
        async with AsyncClient(serving.address) as client:
            run = "by-async"
            assert (await client.search("a tree", graph="retrieve", run=run))["run"] == run
            return await every_call(Renamed(client), serving.folder)

    class Renamed:
        """As a client, under another run id: a run is kept once."""

        def __init__(self, client: AsyncClient) -> None:
            self.client = client

        def __getattr__(self, name: str) -> Any:
            method = getattr(self.client, name)
            return lambda *given, **named: method(
                *("again" if each == "by-client" else each for each in given),
                **{key: "again" if each == "by-client" else each for key, each in named.items()},
            )

    clean()
    with Client(serving.address) as client:
        first = asyncio.run(every_call(client, serving.folder))
    clean()
    second = asyncio.run(by_async())
    assert first["healthz"] == b"ok" and first["image"][:4] == b"RIFF" and b"imagescope_" in first["metrics"]
    assert [event for event, _ in first["say_stream"]][-1] == "turn"
    assert first["batch"]["results"][1]["error"]["type"] == "bad_input"
    for name in set(ROUTES) - {"metrics", "trace", "threads", "collections"}:
        assert plain(first[name]) == steady(second[name]), name
    assert first["trace"].keys() == second["trace"].keys()
    clean()


def test_events_in_pieces_and_comments_between_them() -> None:
    reader = EventReader()
    lines = [
        ": ping",
        "",
        "event: step",
        'data: {"a":',
        "data: 1}",
        "",
        ": ping",
        "",
        "event: end",
        "data: {}",
        "",
    ]
    assert [event for line in lines if (event := reader.read(line))] == [("step", {"a": 1}), ("end", {})]


def test_an_id_is_quoted(serving: Serving) -> None:
    with Client(serving.address) as client, pytest.raises(BadInput, match="no image 'a b#c/d"):
        client.image("a b#c/d?e.png")


def test_no_service_is_told() -> None:
    with (
        Client("http://127.0.0.1:9", timeout=5) as client,
        pytest.raises(BackendUnavailable, match="running"),
    ):
        client.search("a car")
    with (
        Client("http://127.0.0.1:9", timeout=5) as client,
        pytest.raises(BackendUnavailable, match="running"),
    ):
        list(client.stream("a car"))


def test_an_upload_stands_wherever_an_image_does(serving: Serving) -> None:
    new = picture(serving.folder)
    with Client(serving.address) as client:
        upload = client.upload(new)["id"]
        assert upload.startswith("upload:") and client.upload(new)["id"] == upload
        assert client.upload(serving.folder / "000003.png")["id"] == "000003.png"  # it is in the collection
        by_id = client.search("the same at night", upload, k=3, graph="retrieve")["results"]
        assert by_id == client.search("the same at night", new, k=3, graph="retrieve")["results"]
        scores = [each["relevance_score"] for each in client.rerank("a car", [upload, new])["results"]]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)
        with pytest.raises(BadInput, match="send the picture again"):
            client.search("the same", "upload:" + "0" * 64 + ".png")
        with pytest.raises(BadInput, match="cannot be used"):
            client.upload(b"no picture")
        with pytest.raises(BadInput, match="MiB"):
            client.upload(b" " * (21 * 2**20))
        for name in ("upload:../imagescope.json", "upload:/etc/passwd", f"upload:{'0' * 64}.png/../x"):
            with pytest.raises(BadInput, match="no image"):
                client.search("the same", name)


def test_a_misspelt_picture_of_a_message_is_no_message_without_one() -> None:
    calls: Any = Calls("http://127.0.0.1:9")
    for method in (calls.say, calls.say_stream):
        with pytest.raises(TypeError, match="imgs"):
            method("a", "as that", imgs=["red.png"])

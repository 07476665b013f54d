"""One filter, one ranking: from Python, the command line, HTTP, MCP and LangChain; and what is wrong is told."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.client import AsyncClient, Client
from imagescope_agent.lab.scenes.make import make_world
from tests.service.conftest import Serving, start

K = 6
TEXT, WHERE = "a red car", "shelf in ('left', 'middle') and number >= 4 and folder = 'night'"
CLI = [sys.executable, "-m", "imagescope_agent.cli"]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service over drawn scenes in two folders, with fields of their own."""
    place = tmp_path_factory.mktemp("filtered")
    make_world(place, 78, 24)
    images, rows = place / "images", ["file_name,number,shelf"]
    (images / "night").mkdir()
    for number, path in enumerate(sorted(images.glob("*.png"))):
        moved = path.rename(images / "night" / path.name) if number % 2 else path
        rows.append(
            f"{moved.relative_to(images).as_posix()},{number},{('left', 'middle', 'right')[number % 3]}"
        )
    (images / "metadata.csv").write_text("\n".join(rows))
    index_folder(images, progress=False)
    process, address = start(str(images))
    with httpx.Client(base_url=address, timeout=120) as client:
        yield Serving(process, address, images, client)
    process.terminate()
    process.communicate(timeout=600)


def ids(found: Any) -> list[str]:
    return [hit["id"] for hit in found["results"]]


def command_line(serving: Serving) -> list[str]:
    words = ["search", str(serving.folder), TEXT, "-k", str(K), "--where", WHERE, "--json"]
    done = subprocess.run([*CLI, *words], capture_output=True, text=True, check=True)
    return ids(json.loads(done.stdout))


def http(serving: Serving) -> list[str]:
    return ids(serving.post("/v1/search", text=TEXT, k=K, where=WHERE))


def http_batch(serving: Serving) -> list[str]:
    (found,) = serving.post("/v1/search/batch", searches=[{"text": TEXT, "k": K, "where": WHERE}])["results"]
    return ids(found["result"])


def client(serving: Serving) -> list[str]:
    with Client(serving.address) as asked:
        return ids(asked.search(TEXT, k=K, where=WHERE))


def stream(serving: Serving) -> list[str]:
    async def last() -> dict[str, Any]:
        async with AsyncClient(serving.address) as asked:
            return [event async for event in asked.stream(TEXT, k=K, where=WHERE)][-1][1]

    return ids(asyncio.run(last()))


def retriever(serving: Serving) -> list[str]:
    return [
        str(each.id) for each in ImageScope.open(serving.folder).as_retriever(k=K, where=WHERE).invoke(TEXT)
    ]


def tool(serving: Serving) -> list[str]:
    """The tool's owner and the model that calls it each filter."""
    own, _, asked = WHERE.partition(" and ")
    made = ImageScope.open(serving.folder).as_tool(k=K, where=own)
    call = {"name": "search_images", "args": {"text": TEXT, "where": asked}, "id": "1", "type": "tool_call"}
    return [hit.id for hit in made.invoke(call).artifact]


def mcp(serving: Serving) -> list[str]:
    library = pytest.importorskip("mcp", reason="pip install 'imagescope-agent[mcp]'")
    server = library.StdioServerParameters(
        command=sys.executable, args=[*CLI[1:], "mcp", str(serving.folder)]
    )

    async def asked() -> Any:
        async with (
            library.stdio_client(server) as (read, write),
            library.ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await session.call_tool("search", {"text": TEXT, "k": K, "where": WHERE})

    return re.findall(r"^\d+\. (\S+?):", asyncio.run(asked()).content[0].text, re.MULTILINE)


@pytest.mark.parametrize(
    "way",
    [command_line, http, http_batch, client, stream, retriever, tool, mcp],
    ids=lambda way: way.__name__,
)
def test_every_way_gives_the_same_filtered_ranking(
    serving: Serving, way: Callable[[Serving], list[str]]
) -> None:
    scope = ImageScope.open(serving.folder)
    expected = [hit.id for hit in scope.search(TEXT, k=K, where=WHERE)]
    assert way(serving) == expected and 3 < len(expected) <= K
    assert all(name.startswith("night/") for name in expected)


@pytest.mark.parametrize(
    ("where", "told"),
    [("shelf", "at its end"), ("shelves = 'left'", "did you mean 'shelf'"), ("number = 'x'", "give a number"),
     ("x" * 3000, "2000")],
)  # fmt: skip
def test_an_unusable_filter_is_answered_with_one_line(serving: Serving, where: str, told: str) -> None:
    answer = serving.client.post("/v1/search", json={"text": TEXT, "where": where})
    assert answer.status_code in (400, 422) and told in answer.text and str(serving.folder) not in answer.text
    done = subprocess.run(
        [*CLI, "search", str(serving.folder), TEXT, "--where", where], capture_output=True, text=True
    )
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1


def test_nothing_matching_is_an_answer_and_the_run_is_finished(serving: Serving) -> None:
    found = serving.post("/v1/search", text=TEXT, where="number > 1000")
    assert found["results"] == [] and any(note["kind"] == "unmatched" for note in found["notes"])
    about = serving.client.get(f"/v1/runs/{found['run']}")
    assert about.status_code == 200 and about.json()["finished"] is True
    assert "number > 1000" in about.text


def test_a_conversation_over_http_is_filtered(serving: Serving) -> None:
    thread = serving.post("/v1/threads")["thread"]
    serving.post(f"/v1/threads/{thread}/say", message="a red car")
    turn = serving.post(f"/v1/threads/{thread}/say", message="/where folder = 'night'")
    assert turn["where"] == "folder = 'night'"
    assert turn["results"] and all(hit["id"].startswith("night/") for hit in turn["results"])
    answer = serving.client.post(f"/v1/threads/{thread}/say", json={"message": "/where shelves = 1"})
    assert answer.status_code in (400, 422) and "did you mean 'shelf'" in answer.text


def test_the_commands_tell_of_filters_and_captions(tmp_path: Path) -> None:
    for command, told in (("search", "is missing"), ("chat", "is missing"), ("index", "lazy")):
        done = subprocess.run([*CLI, command, "--help"], capture_output=True, text=True, check=True)
        said = " ".join(done.stdout.split())
        assert told in said and "%%" not in said

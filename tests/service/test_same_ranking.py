"""One query, one ranking: from Python, the command line, HTTP, MCP, LangChain, the client, and the page."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.chat import open_chats
from imagescope_agent.client import AsyncClient, Client
from imagescope_agent.services import open_services
from tests.service.conftest import Serving

QUERIES: list[tuple[str, str | None]] = [("a red car", None), ("the same, but at night", "000003.png")]
K = 5


def python(serving: Serving, text: str, image: str | None) -> list[str]:
    return [hit.id for hit in ImageScope.open(serving.folder).search(text, image=image, k=K)]


def command_line(serving: Serving, text: str, image: str | None) -> list[str]:
    words = [
        sys.executable,
        "-m",
        "imagescope_agent.cli",
        "search",
        str(serving.folder),
        text,
        "-k",
        str(K),
        "--json",
    ]
    done = subprocess.run(
        [*words, *(["--image", image] if image else [])], capture_output=True, text=True, check=True
    )
    return [hit["id"] for hit in json.loads(done.stdout)["results"]]


def http(serving: Serving, text: str, image: str | None) -> list[str]:
    with Client(serving.address) as client:
        return [hit["id"] for hit in client.search(text, image, k=K)["results"]]


def http_stream(serving: Serving, text: str, image: str | None) -> list[str]:
    async def last() -> dict[str, Any]:
        async with AsyncClient(serving.address) as client:
            return [event async for event in client.stream(text, image, k=K)][-1][1]

    return [hit["id"] for hit in asyncio.run(last())["results"]]


def langchain(serving: Serving, text: str, image: str | None) -> list[str]:
    scope = ImageScope.open(serving.folder)
    if image is None:
        return [str(document.id) for document in scope.as_retriever(k=K).invoke(text)]
    call = {
        "name": "search_images",
        "args": {"text": text, "reference": image},
        "id": "1",
        "type": "tool_call",
    }
    return [hit.id for hit in scope.as_tool(k=K).invoke(call).artifact]


def mcp(serving: Serving, text: str, image: str | None) -> list[str]:
    client = pytest.importorskip("mcp", reason="pip install 'imagescope-agent[mcp]'")
    server = client.StdioServerParameters(
        command=sys.executable, args=["-m", "imagescope_agent.cli", "mcp", str(serving.folder)]
    )

    async def asked() -> Any:
        async with client.stdio_client(server) as (read, write), client.ClientSession(read, write) as session:
            await session.initialize()
            return await session.call_tool("search", {"text": text, "reference": image, "k": K})

    answer = asyncio.run(asked())
    return re.findall(r"^\d+\. (\S+?):", answer.content[0].text, re.MULTILINE)


WAYS: list[Callable[[Serving, str, str | None], list[str]]] = [
    command_line,
    http,
    http_stream,
    langchain,
    mcp,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("text", "image"), QUERIES)
def test_every_way_gives_the_same_ranking(
    serving: Serving, way: Callable[[Serving, str, str | None], list[str]], text: str, image: str | None
) -> None:
    found = way(serving, text, image)
    assert len(found) == K and found == python(serving, text, image)


def said_in_python(serving: Serving, text: str, image: str | None) -> list[str]:
    async def story() -> list[str]:
        async with open_chats(open_services("mini", serving.folder)) as chats:
            return [hit["id"] for hit in (await (await chats.create()).say(text, image))["results"]]

    return asyncio.run(story())


def said_over_http(serving: Serving, text: str, image: str | None) -> list[str]:
    with Client(serving.address) as client:
        thread = client.create_thread()["thread"]
        return [hit["id"] for hit in client.say(thread, text, image)["results"]]


def said_in_a_stream(serving: Serving, text: str, image: str | None) -> list[str]:
    with Client(serving.address) as client:
        *_, (_, turn) = client.say_stream(client.create_thread()["thread"], text, image)
    return [hit["id"] for hit in turn["results"]]


def said_on_the_command_line(serving: Serving, text: str, image: str | None) -> list[str]:
    command = [sys.executable, "-m", "imagescope_agent.cli", "chat", str(serving.folder), "--json"]
    lines = f"/image {image}\n{text}\n" if image else f"{text}\n"
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [hit["id"] for hit in json.loads(done.stdout.strip().splitlines()[-1])["results"]]


def said_on_the_page(serving: Serving, text: str, image: str | None) -> list[str]:
    pytest.importorskip("gradio", reason="pip install 'imagescope-agent[ui]'")
    from imagescope_agent.chat.web.page import Page

    async def story() -> list[str]:
        async with open_chats(open_services("mini", serving.folder)) as chats:
            page = Page(chats)
            page.blocks()
            nobody: Any = None  # who asks is of no importance where all conversations are shown
            async for _ in page.said({"text": text}, None, image or "", nobody):
                pass
            newest = (await chats.list())[0]["thread"]
            return [hit["id"] for hit in (await (await chats.open(newest)).turns())[-1]["results"]]

    return asyncio.run(story())


TALKS = [said_over_http, said_in_a_stream, said_on_the_command_line, said_on_the_page]


@pytest.mark.parametrize("way", TALKS)
@pytest.mark.parametrize(("text", "image"), QUERIES)
def test_a_turn_is_the_same_wherever_it_is_said(
    serving: Serving, way: Callable[[Serving, str, str | None], list[str]], text: str, image: str | None
) -> None:
    found = way(serving, text, image)
    assert found and found == said_in_python(serving, text, image)

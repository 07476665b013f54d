"""The tools of an MCP server, asked by the protocol's own client in another process."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.service.conftest import folder as folder  # the drawn scenes that are served

client = pytest.importorskip("mcp", reason="pip install 'imagescope-agent[mcp]'")


def asked(folder: Path, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    server = client.StdioServerParameters(
        command=sys.executable, args=["-m", "imagescope_agent.cli", "mcp", str(folder)]
    )

    async def run() -> Any:
        async with client.stdio_client(server) as (read, write), client.ClientSession(read, write) as session:
            await session.initialize()
            return await ask(session)

    return asyncio.run(run())


def test_search_look_compare_explain(folder: Path) -> None:
    async def ask(session: Any) -> dict[str, Any]:
        tools = await session.list_tools()
        found = await session.call_tool("search", {"text": "a red car", "k": 3})
        names = re.findall(r"^\d+\. (\S+?):", found.content[0].text, re.MULTILINE)
        run = found.content[0].text.split()[1]
        return {
            "tools": sorted(tool.name for tool in tools.tools),
            "search": found,
            "names": names,
            "look": await session.call_tool("look", {"image": names[0], "question": "Is there a car?"}),
            "compare": await session.call_tool(
                "compare", {"text": "a red car", "first": names[0], "second": names[2]}
            ),
            "explain": await session.call_tool("explain", {"run": run, "above": names[0], "below": names[1]}),
            "image": await session.read_resource(f"image://{names[0]}"),
            "run": await session.read_resource(f"run://{run}"),
        }

    answers = asked(folder, ask)
    assert answers["tools"] == ["compare", "explain", "look", "search"]
    assert len(answers["names"]) == 3
    pictures = [block for block in answers["search"].content if block.type == "image"]
    assert len(pictures) == 3
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0].data))).size[0] > 16
    assert re.search(r"P\(yes\) = [01]\.\d\d", answers["look"].content[0].text)
    assert answers["compare"].content[0].text.startswith("better: ")
    assert not answers["explain"].is_error and answers["names"][0] in answers["explain"].content[0].text
    assert Image.open(io.BytesIO(base64.b64decode(answers["image"].contents[0].blob))).format == "WEBP"
    assert "a red car" in answers["run"].contents[0].text


def test_an_open_question_is_refused_and_that_nothing_fits_is_told(folder: Path) -> None:
    async def ask(session: Any) -> list[Any]:
        none = await session.call_tool(
            "search", {"text": "a red heart, a green boat, a yellow car and a blue tree", "k": 2}
        )
        name = re.findall(r"^\d+\. (\S+?):", none.content[0].text, re.MULTILINE)[0]
        look = {"image": name, "question": "What colour is the house?"}
        return [none, await session.call_tool("look", look)]

    none, look = asked(folder, ask)
    assert re.search(r"^Nothing fits everything", none.content[0].text, re.MULTILINE)
    assert look.is_error and "yes or no" in look.content[0].text and "is there a dog?" in look.content[0].text


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.png", "none.png"])
def test_other_files_are_not_reached(folder: Path, name: str) -> None:
    async def ask(session: Any) -> Any:
        return (
            await session.call_tool("look", {"image": name, "question": "Is there a car?"}),
            await session.call_tool("search", {"text": "the same", "reference": name}),
        )

    for answer in asked(folder, ask):
        assert answer.is_error and "there is no image" in answer.content[0].text


def test_streamable_http(folder: Path) -> None:
    http = pytest.importorskip("mcp.client.streamable_http")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "imagescope_agent.cli", "mcp", str(folder), "--http", str(port)]

    async def ask() -> Any:
        until = time.monotonic() + 120
        while True:
            try:
                async with (
                    http.streamable_http_client(f"http://127.0.0.1:{port}/mcp") as streams,
                    client.ClientSession(streams[0], streams[1]) as session,
                ):
                    await session.initialize()
                    return await session.call_tool("search", {"text": "a red car", "k": 2})
            except Exception:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                await asyncio.sleep(0.5)

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            found = asyncio.run(ask())
        finally:
            process.kill()
    assert len(re.findall(r"^\d+\. ", found.content[0].text, re.MULTILINE)) == 2
    assert [block.type for block in found.content].count("image") == 2

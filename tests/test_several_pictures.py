"""Several references and pictures of what is not wanted, from Python, the command line and other frameworks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.cli import build_parser
from imagescope_agent.client.wire import search_body
from imagescope_agent.errors import BadInput
from tests.conftest import World


@pytest.fixture
def scope(world: World) -> ImageScope:
    return ImageScope(world.services(), graph="retrieve", runs=False)


def test_a_search_takes_several_references(scope: ImageScope) -> None:
    found = scope.search("light", images=["red.png", Path("blue.png")], unlike=["white.png"])
    assert found.references == ("red.png", "blue.png") and found.reference == "red.png"
    shown = found.to_dict()
    assert shown["references"] == ["red.png", "blue.png"] and shown["unlike"] == ["white.png"]
    assert not {"red.png", "blue.png", "white.png"} & {hit.id for hit in found}
    one = scope.search("light", images=["red.png"])
    assert one.references == () and one.reference == "red.png"
    assert one.rankings == scope.search("light", image="red.png").rankings


def test_a_mean_of_references_finds_what_lies_between_them(scope: ImageScope) -> None:
    found = scope.search("a square", images=["red.png", "yellow.png"], k=1)
    assert found[0].id == "orange.png"


def test_pictures_given_in_a_wrong_way_are_told(scope: ImageScope) -> None:
    with pytest.raises(BadInput, match="give all references as images"):
        scope.search("light", image="red.png", images=["blue.png"])
    with pytest.raises(BadInput, match="give a list, or one as image"):
        scope.search("light", images="red.png")


def test_a_run_that_is_resumed_keeps_its_pictures(world: World, tmp_path: Path) -> None:
    scope = ImageScope(world.services(), graph="retrieve", runs=tmp_path / "runs.sqlite")
    found = scope.search("light", images=["red.png", "blue.png"], unlike=["white.png"])
    again = scope.resume(found.run)
    assert (again.references, again.rankings) == (found.references, found.rankings)


def test_the_trace_knows_every_reference(world: World, tmp_path: Path) -> None:
    place = tmp_path / "traces.sqlite"
    scope = ImageScope(world.services(), graph="retrieve", runs=tmp_path / "runs.sqlite", traces=place)
    found = scope.search("light", images=["red.png", "blue.png"], unlike=["white.png"])
    from imagescope_agent.traces.finding import find_run
    from imagescope_agent.traces.pages.page import render
    from imagescope_agent.traces.trace import Trace

    trace = Trace(*find_run(found.run, place))
    assert trace.references == ["red.png", "blue.png"] and trace.reference == "red.png"
    page = " ".join(render(trace).split())
    assert "reference 2: blue.png" in page and "not like this picture: white.png" in page
    assert trace.unlike == ["white.png"] and trace.keys["white.png"]
    older = Trace({**trace.head, "unlike": 3}, [])
    assert older.unlike == []


def test_the_command_line_takes_them_again_and_again() -> None:
    given = ["search", "folder", "text", "--image", "a.png", "--image", "b.png", "--unlike", "c.png"]
    args = build_parser().parse_args(given)
    assert args.image == ["a.png", "b.png"] and args.unlike == ["c.png"]


def test_the_client_sends_files_and_names(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"picture")
    body = search_body("text", None, {"images": [file, "b.png"], "unlike": ["c.png"], "judge": "icr"})
    assert body["images"][0].startswith("data:") and body["images"][1] == "b.png"
    assert body["unlike"] == ["c.png"] and body["settings"] == {"judge": "icr"}


def test_an_agent_names_several_ids(scope: ImageScope) -> None:
    call = {
        "name": "search_images",
        "args": {"text": "light", "references": ["red.png", "blue.png"], "unlike": ["white.png"]},
        "id": "1",
        "type": "tool_call",
    }
    told = scope.as_tool(k=3).invoke(call)
    assert told.artifact.references == ("red.png", "blue.png")
    wrong: dict[str, Any] = {**call, "args": {"text": "light", "references": ["/etc/passwd"]}}
    assert "there is no image" in scope.as_tool().invoke(wrong).content


def test_an_mcp_client_names_several_ids(world: World) -> None:
    pytest.importorskip("mcp", reason="pip install 'imagescope-agent[mcp]'")
    from imagescope_agent.integrations.mcp import Tools

    tools = Tools(ImageScope(world.services(), graph="retrieve", runs=False))
    found = asyncio.run(tools.search("light", references=["red.png", "blue.png"], unlike=["white.png"]))
    assert not any(name in str(found[0]) for name in ("red.png", "blue.png", "white.png"))
    assert json.dumps(str(found[0]))

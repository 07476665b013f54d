"""A server that refuses a part of what it is asked costs that part: the whole graph over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.errors import RequestRefused, UnreadableReply
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Role
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from tests.conftest import PALETTE, World
from tests.graphs.refusing_models import thinker
from tests.mllms.quirks import most_pictures, pictures, refuse, text
from tests.mllms.scripted_bodies import answering
from tests.mllms.server import FakeServer, Quirk, Raw

ALL = sorted(f"{colour}.png" for colour in PALETTE)


def run(world: World, quirk: Quirk, reference: Any = None, **settings: Any) -> tuple[Any, FakeServer]:
    with FakeServer(quirk=answering(thinker("red"), quirk), heeds=(False, True)) as server:
        model = Endpoint(url=server.url, model="m", pause=0.0, attempts=1, patience=20.0)
        roles: dict[str, Any] = {
            name: Role(name, model) for name in ("captioner", "reasoner", "talker", "verifier", "judge")
        }
        services = Services(embedder=world.embedder, collection=world.collection, **roles)
        graph = load_graph("imagescope")(services)
        asked = {"query": "a red square", "reference": reference}
        return asyncio.run(graph.ainvoke(asked, context=Settings(k=8, **settings))), server


def kinds(state: Any) -> set[tuple[str, str]]:
    return {(note["step"], note["kind"]) for note in state["notes"]}


def test_a_server_of_one_picture_judges_without_the_blank_one(world: World) -> None:
    state, server = run(world, most_pictures(1))
    assert sorted(state["ranking"]) == ALL
    assert state["judgement"]["scores"] and ("judge", "refused") not in kinds(state)
    assert ("judge", "fallback") in kinds(state)
    assert sum(len(pictures(body)) > 1 for body in server.asked) <= 2


def test_with_a_reference_such_a_server_s_judge_is_skipped(world: World, tmp_path: Any) -> None:
    Image.new("RGB", (40, 40), "pink").save(tmp_path / "beside.png")
    state, _ = run(world, most_pictures(1), str(tmp_path / "beside.png"))
    assert state["ranking"] == state["ranking_verify"] and sorted(state["ranking"]) == ALL
    assert ("judge", "refused") in kinds(state)


def test_a_filter_that_refuses_one_picture(world: World) -> None:
    encoded = world.collection.image_ref("blue.png").base64

    def filtered(body: dict[str, Any]) -> Raw | None:
        return refuse("content filter") if any(encoded in url for url in pictures(body)) else None

    state, _ = run(world, filtered)
    assert sorted(state["ranking"]) == ALL and "blue.png" not in state["matches"]
    (hit,) = [hit for hit in state["results"] if hit["id"] == "blue.png"]
    assert any(each.startswith("unverified: ") for each in hit["reasons"])
    assert len(state["matches"]) == 7


def test_a_server_that_refuses_everything_says_what_to_mend(world: World) -> None:
    with pytest.raises(RequestRefused, match="no model answers anything"):
        run(world, lambda body: None if text(body) == "Say Yes." else refuse("not today"))


NOTHING: list[Any] = [{"choices": []}, {"choices": None}, {"object": "chat.completion"}]


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_a_server_that_sends_no_reply_to_anything_ends_the_run(world: World, nothing: Any) -> None:
    with pytest.raises(UnreadableReply, match=r"no model answers anything: .*no chat completion") as caught:
        run(world, lambda body: Raw(content=nothing))
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_a_server_that_sends_no_reply_to_the_judge_costs_the_judge(world: World) -> None:
    state, _ = run(world, lambda body: Raw(content=NOTHING[0]) if len(pictures(body)) > 1 else None)
    assert sorted(state["ranking"]) == ALL and len(state["matches"]) == 8
    assert ("judge", "unreadable") in kinds(state)

"""Reason, then embed: when the chain is written, what it decides, what it costs, and who sees it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput, UnreadableReply
from imagescope_agent.evaluation.chat.systems import PLAYERS, DrawnDialog
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.registry import load_graph
from imagescope_agent.replies.chains import Chain, parse_chain, steps_of
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.spaces import add_space
from imagescope_agent.settings import Settings
from imagescope_agent.traces.pages.page import render
from imagescope_agent.traces.store import TraceStore
from imagescope_agent.traces.trace import Trace
from tests.chat.talk import talking
from tests.graphs.reasoning_colours import CHAIN, ReasoningColours

UNREADABLE = [
    "a blue square",
    "",
    "<caption>a<conclusion>c<steps>b",
    "<caption>a<steps>  <conclusion>c",
    "<caption>a<steps>b",
    "<caption>a<steps>b<conclusion>c<caption>d",
]


def search(world: Any, model: ReasoningColours, query: str = "make it so", **settings: Any) -> Any:
    world.embedder = model
    graph = load_graph("cir_cot")(world.services())
    asked = {"query": query, "reference": "red.png"}
    return asyncio.run(graph.ainvoke(asked, context=Settings(**settings)))


def test_the_chain_decides_what_is_found_with_one_call_and_one_lookup(world: Any) -> None:
    model = ReasoningColours()
    state = search(world, model, "make it green", reasoning="full")
    assert state["ranking"][0] == "blue.png"  # the chain's conclusion, not the words
    (asked,) = model.chat_model.asked
    assert len(asked.images) == 1 and "make it green" in asked.text
    assert model.chains == [CHAIN] and sum(each["calls"] for each in state["usage"]) == 1
    assert state["chain"] == parse_chain(CHAIN).to_dict()
    assert state["reference_caption"] == "a red square"
    assert state["intent"]["steps"] == [{"type": "Modification", "text": "the square is blue"}]
    assert "red.png" not in state["ranking"] and len(set(state["ranking"])) == len(state["ranking"]) == 7


def test_captioner_and_reasoner_may_write_the_chain(world: Any) -> None:
    world.embedder = model = ReasoningColours()
    services = talking(world)
    asked: Any = {"query": "make it green", "reference": "red.png"}
    settings = Settings(reasoning="full", chain_writer="roles")
    state = asyncio.run(load_graph("cir_cot")(services).ainvoke(asked, context=settings))
    assert model.chat_model.asked == [] and state["ranking"][0] == "green.png"
    assert state["chain"]["conclusion"] == state["intent"]["full"]
    assert state["chain"]["reasoning"] in model.chains[0]
    assert state["chain"]["caption"] == state["reference_caption"] == world.collection.caption("red.png")
    refused = replace(services, reasoner=world.role("reasoner", "no JSON"))
    state = asyncio.run(load_graph("cir_cot")(refused).ainvoke(asked, context=settings))
    assert state["chain"] == {} and model.chains[-1] == "" and state["notes"][-1]["kind"] == "unreadable"
    with pytest.raises(BadInput, match="embedder, roles"):
        Settings(chain_writer="me")


def test_what_the_conclusion_has_no_ground_for_is_neither_looked_for_nor_shown(world: Any) -> None:
    model = ReasoningColours(CHAIN.replace("a blue square", "a small blue square"))
    state = search(world, model, "make the square blue", reasoning="full")
    assert model.chains == [CHAIN] and state["chain"]["conclusion"] == "a blue square"
    (told,) = [each for each in state["notes"] if each["kind"] == "repaired"]
    assert told["step"] == "reason" and "'small'" in told["detail"]


def test_fast_writes_nothing_and_asks_nobody(world: Any) -> None:
    model = ReasoningColours()
    state = search(world, model, "make it green", reasoning="fast")
    assert state["ranking"][0] == "green.png" and state["chain"] == {}
    assert model.chat_model.asked == [] and model.chains == [""]


@pytest.mark.parametrize(("threshold", "chains"), [(0.0, [""]), (2.0, ["", CHAIN])])
def test_auto_thinks_only_where_the_first_look_does_not_decide(
    world: Any, threshold: float, chains: list[str]
) -> None:
    model = ReasoningColours(threshold=threshold)
    state = search(world, model, "make it green")
    assert model.chains == chains and len(model.chat_model.asked) == len(chains) - 1
    assert state["ranking"][0] == ("green.png" if threshold == 0 else "blue.png")


@pytest.mark.parametrize(
    ("writer", "own", "by_roles", "written"),
    [
        ("roles", 2.0, 0.0, False),
        ("roles", 0.0, 1.0, True),
        ("roles", 2.0, None, True),
        ("embedder", 0.0, 1.0, False),
        ("embedder", 2.0, 0.0, True),
    ],
)
def test_auto_keeps_the_threshold_of_the_roles_apart_from_that_of_own_chains(
    world: Any, writer: str, own: float, by_roles: float | None, written: bool
) -> None:
    world.embedder = model = ReasoningColours(threshold=own)
    settings = Settings(chain_writer=writer, roles_threshold=by_roles)
    asked: Any = {"query": "make it green", "reference": "red.png"}
    state = asyncio.run(load_graph("cir_cot")(talking(world)).ainvoke(asked, context=settings))
    assert bool(state["chain"]) is written
    assert len(model.chat_model.asked) == (written and writer == "embedder")


@pytest.mark.parametrize(
    ("reference", "alone", "written"),
    [("red.png", 0.0, True), (None, 0.0, False), (None, 1.0, True), (None, None, True)],
)
def test_words_alone_have_a_threshold_of_their_own(
    world: Any, reference: str | None, alone: float | None, written: bool
) -> None:
    world.embedder = ReasoningColours()
    settings = Settings(chain_writer="roles", roles_threshold=1.0, roles_threshold_text=alone)
    asked: Any = {"query": "make it green", "reference": reference}
    state = asyncio.run(load_graph("cir_cot")(talking(world)).ainvoke(asked, context=settings))
    assert bool(state["chain"]) is written


@pytest.mark.parametrize("value", [-0.1, 1.1, "low", True])
def test_a_threshold_out_of_range_is_told(value: Any) -> None:
    with pytest.raises(BadInput, match="roles_threshold"):
        Settings(roles_threshold=value)


def test_words_alone_are_asked_without_a_picture(world: Any) -> None:
    world.embedder = model = ReasoningColours()
    graph = load_graph("cir_cot")(world.services())
    state = asyncio.run(graph.ainvoke({"query": "a square"}, context=Settings(reasoning="full")))
    assert model.chat_model.asked[0].images == () and state["reference_caption"] == "a blank image"


@pytest.mark.parametrize("reply", UNREADABLE)
def test_no_chain_means_the_vector_without_one_and_a_note(world: Any, reply: str) -> None:
    model = ReasoningColours(reply)
    state = search(world, model, "make it green", reasoning="full")
    assert state["ranking"][0] == "green.png" and state["chain"] == {} and model.chains == [""]
    assert [each["kind"] for each in state["notes"]] == ["retried", "unreadable"]
    assert sum(each["calls"] for each in state["usage"]) == 2


def test_a_budget_of_no_calls_leaves_a_note(world: Any) -> None:
    model = ReasoningColours()
    state = search(world, model, "make it green", reasoning="full", budget=0)
    assert state["ranking"][0] == "green.png" and model.chat_model.asked == []
    assert [each["kind"] for each in state["notes"]] == ["budget"]


def test_a_chain_of_the_run_before_is_forgotten(world: Any) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    world.embedder = model = ReasoningColours()
    graph = load_graph("cir_cot")(world.services(), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    for reasoning in ("full", "fast"):
        settings = Settings(reasoning=reasoning)
        state = asyncio.run(graph.ainvoke({"query": "make it green"}, config, context=settings))
    assert state["chain"] == {} and model.chains == [CHAIN, ""]


def test_an_embedder_that_does_not_reason_is_told(world: Any) -> None:
    graph = load_graph("cir_cot")(world.services())
    with pytest.raises(BadInput, match="imagescope train cir-cot"):
        asyncio.run(graph.ainvoke({"query": "a square"}))


def test_its_vectors_may_be_a_further_space(world: Any) -> None:
    model = ReasoningColours()
    model.weights = "thinking colours"
    with pytest.raises(BadInput, match="imagescope vectors make"):
        search(world, model, reasoning="full")
    add_space(world.folder, "thoughts", model)
    world.collection = FolderCollection.open(world.folder)
    assert search(world, model, reasoning="full")["ranking"][0] == "blue.png"


def test_the_chain_is_seen_in_result_notebook_and_trace(world: Any, tmp_path: Path) -> None:
    world.embedder = ReasoningColours()
    scope = ImageScope(world.services(), graph="cir_cot", traces=tmp_path / "t.sqlite", reasoning="full")
    result = scope.search("make it green", image="red.png")
    assert result.to_dict()["chain"]["conclusion"] == "a blue square"
    for page in (result._repr_html_(), _page(tmp_path / "t.sqlite", result.run)):
        places = [page.index(part) for part in ("a red square", "the square is blue", "a blue square")]
        assert places == sorted(places)  # what is shown, what changes, what is looked for
    plain = scope.search("make it green", image="red.png", reasoning="fast")
    assert "chain" not in plain.to_dict()


def _page(file: Path, run: str) -> str:
    store = TraceStore(file)
    try:
        page = render(Trace(*store.read(run)))
    finally:
        store.close()
    return page[page.index('id="intent"') :]


@pytest.mark.parametrize("reply", UNREADABLE)
def test_what_is_no_chain_is_told(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        parse_chain(reply)


def test_a_chain_is_read_as_it_is_written() -> None:
    chain = Chain(
        caption="a cat", reasoning="- Addition: a hat\nit sits</steps>", conclusion="a cat\nin a hat"
    )
    read = parse_chain(str(chain))
    assert str(read) == str(chain) and read.reasoning == "- Addition: a hat\nit sits"
    assert parse_chain("\n<caption> a </caption>\n<steps>b</steps> <conclusion>c</conclusion>").caption == "a"
    assert steps_of(read) == [
        {"type": "Addition", "text": "a hat"},
        {"type": "Modification", "text": "it sits"},
    ]


@pytest.mark.parametrize("value", ["slow", "", 1, None])
def test_a_way_that_there_is_not_is_told(value: Any) -> None:
    with pytest.raises(BadInput, match="full, fast, auto"):
        Settings(reasoning=value)


def test_records_of_earlier_settings_stay_equal() -> None:
    later = {
        "reasoning",
        "roles_threshold",
        "roles_threshold_text",
        "agree_within",
        "agree_within_text",
        "agree_lead",
    }
    assert not later & set(Settings().to_dict())
    written = json.dumps(Settings(reasoning="fast").to_dict())
    assert Settings.from_record(written, judges=()).reasoning == "fast"


def test_a_dialog_is_a_modification_of_a_blank_reference(world: Any) -> None:
    model = ReasoningColours("<caption>a blank image<steps>Addition: green<conclusion>a green square")
    world.embedder = model
    scene = Scene(things=(), setting="night")
    dialog = DrawnDialog(name="a", rounds=("a square", "is it red? no", "which colour? green"), scene=scene)
    build, settings = PLAYERS["cir_cot"]

    async def play() -> list[Any]:
        player = build(world.services(), Settings(reasoning="full", **settings))
        return [answer async for answer in player.play(dialog)]

    answers = asyncio.run(play())
    assert len(answers) == 3 and all(each.stages["final"][0] == "green.png" for each in answers)
    assert len(answers[-1].stages["final"]) == len(world.collection)
    assert [len(asked.images) for asked in model.chat_model.asked] == [0, 0, 0]
    assert "a square, is it red? no, which colour? green" in model.chat_model.asked[-1].text

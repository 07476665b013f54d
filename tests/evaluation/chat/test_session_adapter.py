"""Dialogs asked of the graph `chat`: real conversations on a real index; only the models are scripted."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery, Gallery
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.graph_system import GraphSystem

DIALOGS = {
    "warm": ["something red", "is it orange? yes", "is it yellow? yes"],
    "cold": ["something blue", "is it black? yes", "is it green? yes"],
}
TARGETS = {"warm": "yellow.png", "cold": "green.png"}
SETTINGS: dict[str, Any] = {"clarify": "never", "alpha": 0}


def rounds() -> list[BenchmarkQuery]:
    return [
        BenchmarkQuery(
            qid=f"{name}-{turn}", text=", ".join(said[: turn + 1]), said=said[turn], turn=turn, group=name,
            relevant=(TARGETS[name],), target=TARGETS[name], subsets=(f"round {turn}",),
        )
        for name, said in DIALOGS.items()
        for turn in range(3)
    ]  # fmt: skip


def benchmark_of(world: Any) -> Benchmark:
    files = {name: name for name in world.collection.ids}
    gallery = Gallery(name="images", folder=world.folder, files=files)
    return Benchmark(
        name="scenes", split="chat", key="", protocol="", gallery="", queries=tuple(rounds()),
        measures=("R@1",), open_galleries=lambda: {"images": gallery}, size=len(files),
    )  # fmt: skip


def system_of(world: Any, graph: str = "chat", reasoner: Any = "") -> GraphSystem:
    """A reasoner that cannot be read: each message is kept in its own words."""
    services = world.services(reasoner=world.role("reasoner", reasoner))
    scope = ImageScope(services, graph=graph, runs=False, **SETTINGS)
    benchmark = benchmark_of(world)
    return GraphSystem(benchmark, benchmark.open_galleries(), {"images": scope}, SETTINGS)


def ask(system: GraphSystem, queries: list[BenchmarkQuery]) -> dict[str, Any]:
    async def work() -> list[Any]:
        return await asyncio.gather(*(system.answer(query) for query in queries))

    return {q.qid: a.stages for q, a in zip(queries, asyncio.run(work()), strict=True)}


def told(system: GraphSystem) -> list[str]:
    """What the reasoner was asked to fold."""
    asked = system._scopes["images"].services.reasoner.model.asked
    found = [re.search(r"^<message>(.*)</message>$", each.text, flags=re.M) for each in asked]
    return [match[1] for match in found if match]


def test_a_round_is_told_only_what_is_new_and_remembers_the_rest(world: Any) -> None:
    system = system_of(world)
    assert system.identity["dialogs"] == "turns of a conversation"
    stages = ask(system, rounds()[:3])
    assert set(told(system)) == set(DIALOGS["warm"][1:])
    assert stages["warm-0"]["final"][0] == "red.png"
    assert set(stages["warm-2"]["final"][:3]) == {"red.png", "orange.png", "yellow.png"}
    assert all(sorted(each["final"]) == sorted(world.collection.ids) for each in stages.values())
    assert set(stages["warm-0"]) == {"retrieve", "verify", "judge", "final"}


def test_rounds_may_be_asked_in_any_order_and_each_is_said_once(world: Any) -> None:
    first, second = system_of(world), system_of(world)
    forwards, backwards = ask(first, rounds()), ask(second, rounds()[::-1])
    assert forwards == backwards
    assert sorted(told(first)) == sorted(told(second)) and len(set(told(first))) == 4


def test_a_dialog_that_goes_on_after_a_stop_is_told_again_what_was_said(world: Any) -> None:
    whole, late = ask(system_of(world), rounds()), ask(system_of(world), [rounds()[2], rounds()[5]])
    assert late == {name: whole[name] for name in ("warm-2", "cold-2")}


def test_a_turn_that_fails_leaves_no_trace(world: Any) -> None:
    down, gone = [True], [False]

    def reasoner(asked: Any) -> str:
        gone[0] = down[0] and (gone[0] or "is it orange" in asked.text)  # from then on it answers nothing
        if gone[0]:
            raise BackendUnavailable("down; start it")
        return ""

    system, (first, second, third) = system_of(world, reasoner=reasoner), rounds()[:3]

    async def work() -> list[Any]:
        answers = [await system.answer(first)]
        for query in (second, third):
            with pytest.raises(BackendUnavailable):
                await system.answer(query)
        down[0] = False
        return [*answers, await system.answer(second), await system.answer(third)]

    whole = ask(system_of(world), rounds()[:3])
    assert [answer.stages for answer in asyncio.run(work())] == list(whole.values())


def test_another_graph_is_told_the_rounds_joined(world: Any) -> None:
    system = system_of(world, graph="retrieve")
    assert system.identity["dialogs"] == "rounds joined into one text"
    assert ask(system, rounds()[:3])["warm-2"]["final"][:1] != ["blue.png"]


def test_a_conversation_by_words_is_told_what_is_new(world: Any) -> None:
    system = system_of(world, graph="chat_retrieve")
    assert system.identity["dialogs"] == "turns of a conversation"
    stages = ask(system, rounds()[:3])
    assert stages["warm-0"]["final"][0] == "red.png" != stages["warm-2"]["final"][0]


def test_a_whole_evaluation_in_turns(world: Any, monkeypatch: Any, tmp_path: Any) -> None:
    benchmark = benchmark_of(world)
    monkeypatch.setattr(datasets, "load", lambda *args, **given: benchmark)
    metrics = evaluate(
        "visdial", root=tmp_path, out=tmp_path / "run", graph="chat", system=system_of(world), progress=False
    )
    assert metrics["failed"] == 0 and metrics["dialogs"] == "turns of a conversation"
    final = metrics["metrics"]["final"]
    assert final["round 0"]["R@1"] == 0.0 and final["round 2"]["Hits@5"] == 100.0
    assert metrics["usage"]["calls"]["reasoner"] > 0


def test_what_is_new_in_a_round_is_what_the_files_say(layout: Any) -> None:
    for query in datasets.load("visdial", layout("visdial")).queries:
        assert query.text.split(", ")[-1] == query.said
    plain = replace(datasets.load("flickr30k", layout("flickr30k")).queries[0])
    assert plain.said == ""

"""Python's entry point: results, runs that survive a kill, and one line for every wrong input."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import StateGraph

import imagescope_agent
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.profiles.profile import ROLES
from tests.api_models import BLUE, INTENT


def test_the_public_names_are_there() -> None:
    assert all(getattr(imagescope_agent, name) for name in imagescope_agent.__all__)
    assert set(imagescope_agent.__all__) <= set(dir(imagescope_agent))
    with pytest.raises(AttributeError):
        _ = imagescope_agent.nothing


def test_the_json_has_exactly_the_promised_keys(make: Any, world: Any) -> None:
    result = make().search("a red square", k=3)
    told = json.loads(json.dumps(result.to_dict()))
    assert set(told) == {
        *("query", "graph", "judge", "profile", "results", "intent", "predicates", "notes", "usage", "run")
    }
    assert set(told["usage"]) == {"calls", "prompt_tokens", "completion_tokens", "image_prefills", "seconds"}
    assert told["usage"]["calls"] == {"reasoner": 2, "verifier": 8, "judge": 3}
    assert set(told["usage"]["seconds"]) == {"understand", "retrieve", "predicates", "verify", "judge"}
    first = told["results"][0]
    assert set(first) == {"rank", "id", "path", "scores", "reasons"}
    assert set(first["scores"]) == {"retrieve", "verify", "judge"}
    assert (first["rank"], first["id"]) == (1, "blue.png")
    assert Path(first["path"]) == world.folder / "blue.png"
    assert told["predicates"] == BLUE["predicates"]
    assert told["intent"] == INTENT
    assert [hit.id for hit in result] == [hit["id"] for hit in told["results"]]
    assert len(result) == 3 and result[0].rank == 1


def test_rankings_after_each_stage_are_permutations_of_each_other(make: Any) -> None:
    rankings = make(judge=["No", "Yes"]).search("a red square").rankings
    assert {tuple(sorted(ranking)) for ranking in rankings.values()} == {tuple(sorted(rankings["final"]))}
    assert rankings["retrieve"][0] == "red.png"
    assert rankings["verify"][:2] == ["blue.png", "red.png"]
    assert rankings["final"][:2] == ["red.png", "blue.png"]


def test_the_same_seed_gives_the_same_result(make: Any) -> None:
    first, second = (make().search("a red square", seed=4).to_dict() for _ in range(2))
    for told in (first, second):
        del told["run"], told["usage"]
    assert first == second


def test_settings_come_from_search_before_open(make: Any) -> None:
    scope = make(alpha=0, k=2)
    assert scope.search("a red square").usage["calls"] == {"reasoner": 2, "verifier": 8}
    assert len(scope.search("a red square")) == 2
    assert scope.search("a red square", alpha=1, k=4).usage["calls"]["judge"] == 1


@pytest.mark.parametrize("graph", ["imagescope", "retrieve"])
def test_a_finished_run_can_be_looked_up(make: Any, graph: str) -> None:
    scope = make(graph=graph)
    result = scope.search("a red square", k=3, tau=0.5)
    again = make(graph=graph, reasoner="never asked").resume(result.run)
    assert again == result


def test_a_run_cut_off_by_its_backend_goes_on_where_it_was(make: Any, world: Any) -> None:
    down = make(judge=[BackendUnavailable("down; start it")] * 3)
    with pytest.raises(BackendUnavailable):
        asyncio.run(down.asearch("a red square", run="r1"))
    up = make(reasoner="never asked")
    result = up.resume("r1")
    assert result.results[0].id == "blue.png"
    assert result.usage["calls"] == {"reasoner": 2, "verifier": 8, "judge": 3}
    assert up.services.reasoner.model.asked == up.services.verifier.model.asked == []


KILLED = """
import asyncio, json, os, signal, sys
from imagescope_agent.api import ImageScope
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.services import Services

class Embedder:
    weights, dimension = "colours-1", 8
    def texts(self, texts):
        import numpy as np
        return np.eye(8, dtype=np.float32)[: len(texts)]

def die(asked):
    os.kill(os.getpid(), signal.SIGKILL)

think = Scripted(sys.argv[2:])
roles = {name: Role(name, Scripted(die)) for name in ("captioner", "talker", "verifier", "judge")}
collection = FolderCollection.open(sys.argv[1])
services = Services(embedder=Embedder(), collection=collection, reasoner=Role("reasoner", think), **roles)
asyncio.run(ImageScope(services).asearch("a red square", run="killed"))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(make: Any, world: Any) -> None:
    words = [sys.executable, "-c", KILLED, str(world.folder), json.dumps(INTENT), json.dumps(BLUE)]
    assert subprocess.run(words, check=False, timeout=600).returncode == -signal.SIGKILL
    scope = make(reasoner="never asked")
    result = scope.resume("killed")
    assert scope.services.reasoner.model.asked == []
    assert result.results[0].id == "blue.png"
    assert result.usage["calls"] == {"reasoner": 2, "verifier": 8, "judge": 3}


def test_a_run_is_kept_beside_the_index_as_plain_values(make: Any, world: Any, tmp_path: Any) -> None:
    make().search("a red square")
    with closing(sqlite3.connect(world.collection.location / "runs.sqlite")) as runs:
        kinds = {kind for (kind,) in runs.execute("select distinct type from checkpoints")}
    assert kinds == {"msgpack"}
    make(runs=tmp_path / "elsewhere" / "runs.sqlite").search("a red square")
    assert (tmp_path / "elsewhere" / "runs.sqlite").is_file()


def test_no_runs_are_kept_when_not_wanted(make: Any, world: Any) -> None:
    scope = make(runs=False)
    run = scope.search("a red square").run
    assert not (world.collection.location / "runs.sqlite").exists()
    with pytest.raises(BadInput, match="no runs are kept"):
        scope.resume(run)


def test_every_turn_on_a_thread_starts_from_a_clean_board_but_keeps_its_verdicts(make: Any) -> None:
    replies = iter([json.dumps(INTENT), json.dumps(BLUE), "hm", "hm"])
    scope = make(reasoner=lambda asked: next(replies))
    first = asyncio.run(scope.asearch("a red square", run="thread"))
    second = asyncio.run(scope.asearch("a green square", run="thread"))
    assert first.notes == []
    assert [note["step"] for note in second.notes] == ["understand", "understand"]
    assert second.rankings["final"][0] == "green.png"
    assert second.predicates == []
    assert all(hit.scores["verify"] is None for hit in second)
    replies = iter([json.dumps(INTENT), json.dumps(BLUE)])
    third = asyncio.run(scope.asearch("a red square", run="thread"))
    assert third.usage["calls"] == {"reasoner": 2, "judge": 3}, "verdicts of the first turn hold"
    assert third.rankings == first.rankings


def test_searches_at_the_same_time_do_not_mix(make: Any) -> None:
    def reply(asked: Any) -> str:
        colour = re.search(r"(?:one|a) (\w+) thing", asked.text)[1]  # type: ignore[index]
        if asked.options["response_format"] != "IntentAnswer":
            return json.dumps({"predicates": [{"question": f"Is it {colour}?", "expected": "Yes"}]})
        grains = dict.fromkeys(("core", "enhanced", "full"), f"a {colour} square")
        return json.dumps({"steps": [{"type": "Addition", "text": f"a {colour} thing"}], **grains})

    scope = make(reasoner=reply)
    wanted = ["red", "green", "yellow"] * 3

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(scope.asearch(f"one {colour} thing") for colour in wanted))

    found = asyncio.run(all_at_once())
    assert [result.results[0].id for result in found] == [f"{colour}.png" for colour in wanted]


def test_a_graph_is_compiled_once_per_instance(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    original = StateGraph.compile

    def count(graph: Any, *args: Any, **options: Any) -> Any:
        compiled.append(options["name"])
        return original(graph, *args, **options)

    monkeypatch.setattr(StateGraph, "compile", count)
    scope = make()

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(scope.asearch("a red square") for _ in range(3)))

    found = [scope.search("a red square"), *asyncio.run(at_once())]  # two event loops
    found.append(scope.resume(found[-1].run))
    assert compiled == ["imagescope"]
    assert {tuple(result.rankings["final"]) for result in found} == {tuple(found[0].rankings["final"])}
    assert len({result.run for result in found}) == 4, "every run has checkpoints of its own"
    assert make(runs=False).search("a red square").rankings == found[0].rankings
    assert compiled == ["imagescope", "imagescope"]


def test_search_works_inside_a_running_event_loop(make: Any) -> None:
    async def notebook() -> Any:
        return make().search("a red square")

    assert asyncio.run(notebook()).results[0].id == "blue.png"


def test_a_result_names_the_weights_behind_it(make: Any) -> None:
    weights = make().search("a red square").weights
    assert weights["embedder"] == "colours-1"
    assert set(weights) == {"embedder", *ROLES}

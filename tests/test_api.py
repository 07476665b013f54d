"""Python's entry point: results, runs that survive a kill, and one line for every wrong input."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import StateGraph

import imagescope_agent
from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import ROLES, load_profile
from imagescope_agent.services import open_services, profile_of, serve_from_environment

INTENT = {
    "steps": [{"type": "Addition", "text": "a red square"}],
    "core": "a red square",
    "enhanced": "a red square",
    "full": "a red square",
}
BLUE = {"predicates": [{"question": "Is it blue?", "expected": "Yes"}]}


def think(asked: Any) -> str:
    return json.dumps(INTENT if asked.options["response_format"] == "IntentAnswer" else BLUE)


@pytest.fixture
def make(world: Any) -> Callable[..., ImageScope]:
    """An opened world whose verifier knows the colours and whose judge says No."""

    def scorer(asked: Any) -> list[float]:
        return [0.9, 0.1] if world.colour(asked) in asked.text else [0.1, 0.9]

    def opened(*, judge: Any = "No: not quite", reasoner: Any = think, **options: Any) -> ImageScope:
        services = world.services(
            reasoner=world.role("reasoner", reasoner),
            verifier=world.role("verifier", scorer=scorer),
            judge=world.role("judge", judge),
        )
        return ImageScope(services, **options)

    return opened


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
    assert subprocess.run(words, check=False, timeout=120).returncode == -signal.SIGKILL
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"text": " "}, "the query is empty"),
        ({"text": "x" * 10_000}, "10000 characters"),
        ({"text": "a \ud800 boat"}, "not valid UTF-8"),
        ({"text": "blue", "k": 0}, "k is 0"),
        ({"text": "blue", "image": "rde.png"}, "did you mean 'red.png'"),
        ({"text": "blue", "image": "/no/such/file.png"}, "no reference image"),
        ({"text": "blue", "image": "\0"}, "no reference image"),
        ({"text": "blue", "judge": "pairwize"}, "did you mean 'pairwise'"),
        ({"text": "blue", "alfa": 2}, "did you mean 'alpha'"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_model_asked(make: Any, words: Any, message: str) -> None:
    scope = make(reasoner="never asked")
    with pytest.raises(BadInput) as caught:
        scope.search(**words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert scope.services.reasoner.model.asked == []


def test_a_reference_that_is_no_picture_is_refused(make: Any, tmp_path: Any) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    for graph in ("imagescope", "retrieve"):
        with pytest.raises(BadInput, match="give another file"):
            make(graph=graph).search("blue", image=tmp_path / "text.png")


@pytest.mark.parametrize("graph", ["imagescope", "retrieve", "cotrr"])
def test_a_served_collection_opens_no_other_file(make: Any, world: Any, tmp_path: Any, graph: str) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(world.folder / "red.png", secret)
    scope = make(graph=graph, reasoner="never asked")
    scope.services.collection.takes_files = False
    for name in (secret, "/etc/passwd", "../secret.png", tmp_path / "missing.png"):
        with pytest.raises(BadInput, match=r"there is no image .* in the collection") as caught:
            scope.search("blue", image=name)
        assert "\n" not in str(caught.value)
        with pytest.raises(BadInput, match="there is no image"):
            scope.services.collection.reference(str(name))  # a name that was put into the state
    assert scope.services.reasoner.model.asked == []
    assert scope.services.collection.reference("red.png").key in world.keys


def test_a_graph_server_serves_the_collection_alone(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESCOPE_COLLECTION", str(world.folder))
    assert serve_from_environment().collection.takes_files is False
    assert open_services("mini", world.folder).collection.takes_files is True


def test_a_result_names_the_weights_behind_it(make: Any) -> None:
    weights = make().search("a red square").weights
    assert weights["embedder"] == "colours-1"
    assert set(weights) == {"embedder", *ROLES}


def test_a_folder_without_images_is_told_before_any_weights_are_read(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "imagescope_agent.indexing.open_roles", lambda profile: pytest.fail("weights were read")
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"there is no image in .*; give a folder"):
        index_folder(tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())


def test_unknown_runs_and_runs_of_another_graph_are_refused(make: Any) -> None:
    run = make().search("a red square").run
    with pytest.raises(BadInput, match="there is no run 'nothing'"):
        make().resume("nothing")
    with pytest.raises(BadInput, match="belongs to the graph 'imagescope'"):
        make(graph="retrieve").resume(run)
    other = make()
    other.services = dataclasses.replace(other.services, profile="laptop")
    with pytest.raises(BadInput, match="belongs to the profile 'custom'"):
        other.resume(run)


def test_a_place_that_cannot_hold_the_runs_is_told(make: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken.sqlite").write_text("no database at all " * 100)
    for place in (tmp_path / "file" / "runs.sqlite", tmp_path / "broken.sqlite"):
        with pytest.raises(BadInput, match="IMAGESCOPE_RUNS"):
            make(runs=place).search("blue")


def test_opening_refuses_what_is_not_there(world: Any, tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="imagescope index"):
        ImageScope.open(tmp_path / "missing")
    with pytest.raises(BadInput, match="is not indexed; run `imagescope index"):
        ImageScope.open(tmp_path)
    with pytest.raises(BadInput, match="did you mean 'mini'"):
        ImageScope.open(world.folder, profile="mnii")
    with pytest.raises(BadInput, match="did you mean 'retrieve'"):
        ImageScope.open(world.folder, graph="retrive")
    with pytest.raises(BadInput, match="there is no folder"):
        index_folder(tmp_path / "missing")


def write_profile(path: Path, **changes: str) -> Path:
    lines = {
        "embedder": 'embedder = "hf-hub:nowhere/at-all"',
        "models": '[models.fake]\nmllm = "scripted"\nreply = "No"',
        "roles": "[roles]\n" + "\n".join(f'{role} = "fake"' for role in ROLES),
        "settings": "[settings]\ntop_k = 3",
        **changes,
    }
    path.write_text("\n".join(lines.values()))
    return path


def test_a_profile_of_ones_own_is_a_file(world: Any, tmp_path: Any) -> None:
    path = write_profile(tmp_path / "mine.toml")
    services = open_services(str(path), world.folder)
    assert services.judge.model is services.verifier.model, "one model, opened once"
    assert services.judge.model is open_services(str(path), world.folder).judge.model
    scope = ImageScope.open(world.folder, profile=str(path))
    assert scope._settings({}).top_k == 3
    assert scope._settings({"top_k": 5}).top_k == 5
    with pytest.raises(BackendUnavailable, match="nowhere/at-all"):
        scope.search("blue")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedder": ""}, "names no embedder"),
        ({"embedder": 'embeder = "x"'}, "did you mean 'embedder'"),
        ({"models": ""}, "no known model for the role"),
        ({"models": "[models.fake]\nx = 1"}, "must name its class"),
        ({"models": '[models.fake]\nmllm = "scriptd"'}, "did you mean 'scripted'"),
        ({"models": '[models.fake]\nmllm = "scripted"\nreply = 5'}, "do not fit"),
        ({"roles": "[roles]"}, "no known model for the role 'captioner'"),
        ({"settings": "[settings]\ntopk = 3"}, "did you mean 'top_k'"),
        ({"settings": "= 3"}, "is not TOML"),
    ],
)
def test_a_broken_profile_is_told_in_one_line(world: Any, tmp_path: Any, changes: Any, message: str) -> None:
    path = write_profile(tmp_path / "mine.toml", **changes)
    with pytest.raises(BadInput) as caught:
        ImageScope.open(world.folder, profile=str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_of_the_table_is_well_formed(name: str) -> None:
    profile = load_profile(name)
    assert profile.description
    assert set(profile.roles) == set(ROLES)


def test_the_profile_that_made_an_index_is_remembered(world: Any) -> None:
    assert profile_of(world.folder) == "mini"
    (world.collection.location / "profile").write_text("laptop\n")  # as earlier versions wrote it
    assert profile_of(world.folder) == "laptop"

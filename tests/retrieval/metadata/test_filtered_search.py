"""Filtered search: the ranking without the filter, restricted to what matches, in the store and in every graph."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from imagescope_agent.api import ImageScope
from imagescope_agent.commands.trace import describe
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.scripted import Asked
from imagescope_agent.records import NOT_DEGRADING
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.metadata.fields import rows_once
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatBackend
from imagescope_agent.traces.finding import find_run
from imagescope_agent.traces.trace import Trace
from tests.conftest import World
from tests.profiles.test_prompt_sets import think
from tests.retrieval.metadata.fields import index

GRAPHS = ["adaptive", "chat", "cotrr", "imagescope", "imagescope_chat", "mra", "retrieve"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An opened store of 300 vectors, a third of them equal to others."""
    place, ids = tmp_path_factory.mktemp("store"), [f"{n:03}" for n in range(300)]
    rows = np.random.default_rng(4).standard_normal((300, 33)).astype(np.float32)
    rows[200:] = rows[:100]
    backend, space = FaissFlatBackend(), Space(name="image", dimension=33, weights="w")
    kept = backend.write(place, ids, space, [rows])
    return backend.open(place, ids, [StoredSpace(**vars(space), kept=kept)])


@given(
    some.integers(0, 2**32 - 1),
    some.floats(0, 1),
    some.integers(1, 310),
    some.sets(some.integers(0, 299), max_size=9),
)
def test_a_filtered_search_is_the_whole_one_restricted(
    store: Any, seed: int, share: float, k: int, out: set[int]
) -> None:
    rng = np.random.default_rng(seed)
    query = [SpaceQuery(space="image", vector=rng.standard_normal(33).astype(np.float32), weight=1.0)]
    allowed = rng.random(300) < share
    exclude, include = {f"{n:03}" for n in out}, {f"{n:03}" for n in rng.integers(0, 300, 5)}
    whole = [pair for pair in store.search(query, 300) if allowed[int(pair[0])] and pair[0] not in exclude]
    more = [pair for pair in whole[k:] if pair[0] in include]
    assert store.search(query, k, exclude=exclude, include=include, allowed=allowed) == whole[:k] + more


def test_of_equal_pictures_the_first_that_matches_is_found(world: World) -> None:
    """A copy elsewhere must not hide the picture that is wanted."""
    place = world.folder / "zoo"
    place.mkdir()
    for name in ("red.png", "blue.png"):
        shutil.copy(world.folder / name, place / name)
    index(world.folder)
    collection = FolderCollection.open(world.folder)
    query = world.embedder.texts(["red"])
    found = collection.search(query, 0.0, 9, once=True, where="folder = 'zoo'")
    assert [name for name, _ in found] == ["zoo/red.png", "zoo/blue.png"]
    assert [name for name, _ in collection.search(query, 0.0, 1, once=True)] == ["red.png"]
    kept = collection.search(query, 0.0, 1, include=["blue.png"], once=True, where="folder = 'zoo'")
    assert [name for name, _ in kept] == ["zoo/red.png", "zoo/blue.png"]


def test_rows_of_one_content_count_once() -> None:
    groups, allowed = np.array([0, 1, 0, 2, 1]), np.array([False, True, True, True, True])
    assert rows_once(groups, allowed).tolist() == [False, True, True, True, False]


def test_a_store_that_does_not_filter_says_so(world: World) -> None:
    class Plain:
        def search(self, queries: Any, k: int, *, exclude: Any = (), include: Any = ()) -> Any:
            return [("red.png", 1.0)]

    world.collection._vectors = Plain()  # type: ignore[assignment]
    query = world.embedder.texts(["red"])
    assert world.collection.search(query, 0.0, 1) == [("red.png", 1.0)]
    with pytest.raises(BadInput, match="Plain does not filter"):
        world.collection.search(query, 0.0, 1, where="width = 1")


def served(world: World) -> Any:
    names = ("captioner", "reasoner", "judge")
    roles = {name: world.role(name, think) for name in names}
    return world.services(**roles, verifier=world.role("verifier", think, lambda asked: [0.7, 0.3]))


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_graph_finds_only_what_matches(world: World, graph: str) -> None:
    scope = ImageScope(served(world), graph=graph, clarify="never")
    wanted = {"black.png", "blue.png"}
    found = scope.search("a red square", where="name like 'b%'", image=None, k=5)
    assert {hit.id for hit in found} == wanted and set(found.rankings["final"]) == wanted
    assert found.settings["where"] == "name like 'b%'"
    everything = scope.search("a red square", k=5)
    assert everything[0].id == "red.png" and "where" not in everything.settings


@pytest.mark.parametrize("graph", GRAPHS)
def test_nothing_matching_is_an_answer_in_words(world: World, graph: str) -> None:
    found = ImageScope(served(world), graph=graph).search("a red square", where="date >= 2030")
    (note,) = (each for each in found.notes if each["kind"] == "unmatched")
    assert len(found) == 0 and "no image matches the filter date >= 2030" in note["detail"]
    assert "unmatched" in NOT_DEGRADING


@pytest.mark.parametrize("graph", [graph for graph in GRAPHS if graph != "chat"])
def test_an_unusable_filter_is_told_before_any_model_is_asked(world: World, graph: str) -> None:
    services = served(world)
    with pytest.raises(BadInput, match="no field 'owner'"):
        ImageScope(services, graph=graph).search("a red square", where="owner = 'Ann'")
    assert not any(role.model.asked for role in (services.reasoner, services.captioner, services.judge))


def test_a_reference_may_lie_outside_the_filter(world: World) -> None:
    found = ImageScope(served(world), graph="imagescope").search(
        "the same in blue", image="red.png", where="name = 'blue.png'"
    )
    assert found.reference == "red.png" and [hit.id for hit in found] == ["blue.png"]


def test_a_run_that_is_resumed_keeps_its_filter(world: World) -> None:
    scope = ImageScope(served(world), graph="imagescope")
    asked: list[str] = []

    def broken(question: Asked) -> str:
        asked.append(question.text)
        raise ConnectionError("away")

    failing = ImageScope(world.services(reasoner=world.role("reasoner", broken)), graph="imagescope")
    with pytest.raises(BackendUnavailable):
        asyncio.run(failing.asearch("a red square", run="cut", where="name like 'b%'"))
    found = scope.resume("cut")
    assert {hit.id for hit in found} == {"black.png", "blue.png"} and asked


def test_a_finished_run_without_a_match_is_finished(world: World) -> None:
    scope = ImageScope(served(world), graph="retrieve")
    found = scope.search("red", where="width = 1")
    assert asyncio.run(scope.afind(found.run)) == ("retrieve", True)
    assert scope.resume(found.run).notes == found.notes


def test_the_trace_shows_the_filter(world: World) -> None:
    scope = ImageScope(served(world), graph="chat", clarify="never")
    found = scope.search("/where width = 32\na red square", where="name like 'b%'")
    trace = Trace(*find_run(found.run, scope.traces))
    assert trace.where == "(name like 'b%') and (width = 32)"
    assert f"only where: {trace.where}" in describe(trace)
    plain = scope.search("a red square")
    assert "only where" not in "".join(describe(Trace(*find_run(plain.run, scope.traces))))


def test_a_graph_server_takes_the_filter_as_context(world: World) -> None:
    graph = load_graph("retrieve")(served(world))
    state = asyncio.run(graph.ainvoke({"query": "red"}, context={"where": "name = 'blue.png'"}))
    assert state["ranking"] == ["blue.png"]
    assert "where" in json.dumps(graph.get_context_jsonschema())


def test_the_environment_sets_a_filter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESCOPE_WHERE", "name = 'blue.png'")
    found = ImageScope(served(world), graph="retrieve").search("red")
    assert [hit.id for hit in found] == ["blue.png"]

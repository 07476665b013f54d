"""Whatever models and servers answer: no traceback, no hang, every ranking a permutation, a note for what was lost."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import threading
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from PIL import Image

from imagescope_agent.errors import ImageScopeError
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Role
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from tests.conftest import PALETTE, World
from tests.contract.hostile import logprobs, over_http, shape, spoiled
from tests.contract.hostile_models import Stranger, StrangeScorer
from tests.graphs.reasoning_colours import ReasoningColours
from tests.mllms.server import FakeServer, Raw

LARGE = os.environ.get("IMAGESCOPE_HOSTILE")
OVER_LANGCHAIN, OVER_HTTP = (int(LARGE), int(LARGE)) if LARGE else (60, 40)
HANG = 60.0  # seconds: a guard, so that a test that hangs says so
GRAPHS = (
    "imagescope",
    "adaptive",
    "cotrr",
    "xr",
    "imagescope_chat",
    "chat",
    "cir_cot",
    "chat_retrieve",
    "retrieve",
)
ROLES = ("captioner", "reasoner", "talker", "verifier", "judge")
JUDGES = (
    None,
    "pointwise",
    "grades",
    "prp-allpair",
    "setwise-heap",
    "listwise",
    "first",
    "grid",
    "cotrr",
    "groupwise",
)
STEPS = {  # where a role's trouble is noted
    "captioner": {"describe", "imagine"},
    "reasoner": {"understand", "predicates", "target"},
    "talker": {"fold", "propose", "ask", "acts", "filter"},
    "verifier": {"verify", "survey"},
    "judge": {"judge"},
}
CUT = ("length", "max_tokens", "MAX_TOKENS")
ALL = sorted(f"{name}.png" for name in PALETTE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A collection, and a picture beside it, as `other_picture` is."""
    folder = tmp_path_factory.mktemp("hostile")
    Image.new("RGB", (40, 30), (90, 40, 160)).save(beside := folder / "beside.png")
    Image.new("RGB", (40, 30), (160, 90, 40)).save(other_picture(beside))
    return World(folder / "world"), beside


def other_picture(beside: Path) -> Path:
    """A second picture that is not of the collection."""
    return beside.with_name("other.png")


def pictures(random: Random, beside: Path) -> dict[str, Any]:
    """None, one or several references, and mostly nothing that is not wanted."""
    one, other = str(beside), str(other_picture(beside))
    references = random.choice([[], [], [], [one], [one, other], [one, other, one]])
    return {"references": references, "unlike": [other] if random.random() < 0.2 else []}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass is tried again at once."""
    for name in GRAPHS[:-2]:
        module = importlib.import_module(f"imagescope_agent.graphs.{name}")
        monkeypatch.setattr(
            module, "RETRY_TRANSIENT", module.RETRY_TRANSIENT._replace(initial_interval=0.0, jitter=False)
        )


async def search(graph: str, services: Services, brought: dict[str, Any], settings: Settings) -> list[Any]:
    """The states that a graph ends in, one a turn."""
    if graph == "cir_cot":
        thought = "<caption>a<steps>b<conclusion>a purple square"
        services = replace(services, embedder=ReasoningColours(thought))
        settings = replace(settings, reasoning="full", chain_writer="roles")
    compiled = load_graph(graph)(services, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
    first = {"query": "a red square", **brought}
    async with asyncio.timeout(HANG):
        states = [await compiled.ainvoke(first, config, context=settings)]
        if graph in ("chat", "imagescope_chat", "chat_retrieve"):
            waits = "__interrupt__" in states[0]
            more: Any = Command(resume="a blue one") if waits else {"query": "a blue one", "reference": None}
            states.append(await compiled.ainvoke(more, config, context=settings))
    return states


def check(state: Any) -> None:
    """A state that anybody may rely on."""
    assert sorted(state["ranking"]) == ALL
    assert [hit["id"] for hit in state["results"]] == state["ranking"][: len(state["results"])]
    told = {key: value for key, value in state.items() if key != "__interrupt__"}
    json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
    for answers in state.get("verdicts", {}).values():
        assert all(0.0 <= probability <= 1.0 for probability in answers.values())
    for entry in state["usage"]:
        assert all(0 <= entry[name] < 10**12 for name in ("calls", "prompt_tokens", "completion_tokens"))
    for note in state["notes"]:
        assert set(note) == {"step", "kind", "detail"}


def outcome(
    graph: str, services: Services, brought: dict[str, Any], settings: Settings
) -> tuple[str, list[Any]]:
    """What came of a search, "answered" or the class of its error, and the notes."""
    try:
        states = asyncio.run(search(graph, services, brought, settings))
    except ImageScopeError as error:
        assert "\n" not in str(error) and str(error)
        return type(error).__name__, []
    for state in states:
        check(state)
    return "answered", [note for state in states for note in state["notes"]]


def langchain(seed: int, place: tuple[World, Path]) -> str:
    """One search whose every role is somebody else's model."""
    random, (world, beside) = Random(seed), place
    share = random.choice([0.0, 0.5, 0.8, 0.95])
    models = {
        name: random.choice([Stranger, StrangeScorer])(
            seed=random.randrange(2**32), share=share, schemas=random.random() < 0.7
        )
        for name in ROLES
    }
    roles = {name: Role(name, model) for name, model in models.items()}
    services = Services(embedder=world.embedder, collection=world.collection, **roles)  # type: ignore[arg-type]
    settings = Settings(
        judge=random.choice(JUDGES),
        k=8,
        seed=seed,
        budget=random.choice([None, None, 12]),
        token_budget=random.choice([None, None, 40_000]),
    )
    ended, notes = outcome(GRAPHS[seed % len(GRAPHS)], services, pictures(random, beside), settings)
    if ended == "answered":
        steps = {note["step"] for note in notes}
        for name, model in models.items():
            assert not model.lost or steps & STEPS[name], (seed, name, model.lost, notes)
    return ended


def http(seed: int, place: tuple[World, Path]) -> str:
    """One search whose every role is one server."""
    random, (world, beside) = Random(seed), place
    share, lock = random.choice([0.0, 0.5, 0.8, 0.95]), threading.Lock()
    lost: list[str] = []

    def quirk(body: dict[str, Any]) -> Raw | None:
        if body["messages"][-1]["content"] == "Say Yes.":
            return None  # what a server heeds is found out elsewhere
        with lock:
            form = body.get("response_format", {}).get("json_schema", {}).get("name", "")
            made = spoiled(shape(random, form, share))
            status, content = over_http(made)
            if body.get("logprobs") and status == 200:
                content["choices"][0]["logprobs"] = logprobs(random)
            elif made.lost and made.error is None and made.finish not in CUT:
                lost.append(made.kind)  # after the others the server is asked again, in another way
        return Raw(status=status, content=content)

    with FakeServer(quirk=quirk) as server:
        model = Endpoint(url=server.url, model="m", pause=0.0, attempts=2, patience=20.0)
        roles = {name: Role(name, model) for name in ROLES}
        services = Services(embedder=world.embedder, collection=world.collection, **roles)  # type: ignore[arg-type]
        settings = Settings(judge=random.choice(JUDGES), k=8, seed=seed)
        ended, notes = outcome(GRAPHS[seed % len(GRAPHS)], services, pictures(random, beside), settings)
    if ended == "answered" and lost:
        assert notes, (seed, lost)
    return ended


def test_models_of_others_end_in_a_sound_ranking_or_an_error_of_ours(place: tuple[World, Path]) -> None:
    outcomes = Counter(langchain(seed, place) for seed in range(OVER_LANGCHAIN))
    print(outcomes)
    assert outcomes["answered"] > OVER_LANGCHAIN / 4 and len(outcomes) > 1


def test_servers_of_others_end_in_a_sound_ranking_or_an_error_of_ours(place: tuple[World, Path]) -> None:
    outcomes = Counter(http(seed, place) for seed in range(OVER_HTTP))
    print(outcomes)
    assert outcomes["answered"] > OVER_HTTP / 4

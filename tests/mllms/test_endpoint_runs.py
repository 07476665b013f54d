"""Whole runs against servers on loopback: one that fails on the way, and `transformers serve`."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import imagescope_agent
from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Request, Role
from tests.conftest import World
from tests.mllms import quirks
from tests.mllms.checkpoints import picture
from tests.mllms.plans import INTENT, PLAN, plan
from tests.mllms.server import FakeServer, Quirk

MINI = Path(imagescope_agent.__file__).parent / "mini" / "mllm"


def words(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])


def kind(body: dict[str, Any]) -> str:
    """Which step asks."""
    if "logprobs" in body:
        return "verify"
    return (
        "predicates"
        if '"predicates"' in words(body)
        else "understand"
        if '"core"' in words(body)
        else "judge"
    )


ANSWERS = {"understand": INTENT, "predicates": PLAN, "judge": "Yes: it is red."}


def scope(world: World, server: FakeServer, folder: Path, patience: float = 60.0) -> ImageScope:
    model = Endpoint(url=server.url, key=SecretStr("k"), pause=0.01, patience=patience, attempts=2)
    names = ("captioner", "reasoner", "verifier", "judge")
    services = world.services(**{name: Role(name, model) for name in names})
    return ImageScope(services, runs=folder / "runs.sqlite", traces=False)


@pytest.mark.parametrize("fault", ["killed", 429, 500, "cut", "drop", "hang", "key"])
def test_a_run_that_loses_its_server_ends_soon_and_goes_on_where_it_was(
    fault: int | str, world: World, tmp_path: Path
) -> None:
    servers: list[FakeServer] = []
    killer = threading.Thread(target=lambda: servers[0].stop())

    def answer(body: dict[str, Any]) -> str:
        server = servers[0]
        if kind(body) == "predicates" and len(servers) == 1:  # from now on nothing works
            if fault == "killed":
                server.faults = ["drop"] * 999  # also what comes before the door is closed
                killer.start()
            elif fault == "key":
                server.key = "another"
            else:
                server.faults = [fault] * 999
        return ANSWERS.get(kind(body), "")

    servers.append(FakeServer(answer, heeds=(True, False), key="k"))
    first = servers[0]
    searching = scope(world, first, tmp_path, 3.0 if fault == "hang" else 60.0)
    start = time.perf_counter()
    with pytest.raises(BackendUnavailable) as caught:
        asyncio.run(searching.asearch("a red square", run="r"))
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)
    assert time.perf_counter() - start < 60
    if fault == "killed":
        killer.join()
    else:
        first.stop()
    port = int(first.url.rsplit(":", 1)[1].removesuffix("/v1"))
    with FakeServer(answer, heeds=(True, False), key="k", port=port) as second:
        servers.append(second)
        found = searching.resume("r")
        assert len(found.results) == len(world.collection.ids)
        before, after = [[kind(body) for body in each.asked] for each in (first, second)]
        assert before.count("understand") == before.count("predicates") == 1
        assert set(after) == {"verify", "judge"}  # what was finished is not asked again


@pytest.mark.parametrize(
    ("quirk", "told"),
    [
        (quirks.most_logprobs(5), "more than 5 top_logprobs"),
        (quirks.other_limit, "max_completion_tokens"),
        (quirks.own_temperature, "refuses temperature 0"),
        (quirks.no_schema_limits, "limits in JSON schemas"),
        (quirks.no_schema, "refuses JSON schemas"),
        (quirks.no_logprobs, "refuses logprobs"),
    ],
)
def test_a_search_goes_on_without_what_the_server_refuses(
    quirk: Quirk, told: str, world: World, tmp_path: Path
) -> None:
    with FakeServer(lambda body: ANSWERS.get(kind(body), ""), quirk=quirk) as server:
        found = scope(world, server, tmp_path).search("a red square")
    assert sorted(result.id for result in found.results) == sorted(world.collection.ids)
    assert any(note["kind"] == "fallback" and told in note["detail"] for note in found.notes)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `transformers serve` with the mini checkpoint."""
    needed = ("accelerate", "fastapi", "openai", "uvicorn")
    if any(importlib.util.find_spec(name) is None for name in needed):
        pytest.skip("needs transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache = tmp_path_factory.mktemp("hub")
    command = [Path(sys.executable).with_name("transformers"), "serve", MINI, "--device", "cpu"]
    server = subprocess.Popen(
        [*map(str, command), "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and server.poll() is None:
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_transformers_serve_on_the_mini_checkpoint(served: str, world: World) -> None:
    """It ignores logprobs and schemas without a word (transformers 5.23): both are found out and noted."""
    model = Endpoint(url=served, model=str(MINI), max_tokens=8, concurrency=2)
    powers = asyncio.run(model.powers())
    assert not powers.logprobs and not powers.schema
    asked = [Request(text="Is there a red car?", images=(picture(1, (128, 128)),))]
    reply = asyncio.run(Role("captioner", model).ask(asked))[0]
    assert reply.text and reply.usage["prompt_tokens"] > 16
    roles = {name: Role(name, model) for name in ("verifier", "judge")}
    thinks = world.role("reasoner", plan)
    searching = ImageScope(world.services(reasoner=thinks, **roles), runs=False, top_k=3)
    found = searching.search("a red square")
    assert len(found.results) == len(world.collection.ids)
    assert any("ignores logprobs" in note["detail"] for note in found.notes)


@pytest.mark.slow
def test_transformers_serve_without_such_a_model_is_one_clear_line(served: str) -> None:
    with pytest.raises(Exception, match="HTTP 4") as caught:
        asyncio.run(Role("x", Endpoint(url=served, model="nobody", attempts=1)).ask([Request(text="q")]))
    assert "\n" not in str(caught.value)

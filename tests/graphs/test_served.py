"""`langgraph dev` serves every graph of langgraph.json, with a schema that shows what to put in, on the mini models."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import index_folder
from imagescope_agent.lab.scenes.make import make_world

ROOT = Path(__file__).parents[2]
GRAPHS = sorted(json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"])
PATIENCE = 300.0  # seconds: a loaded machine imports slowly

pytestmark = pytest.mark.slow
pytest.importorskip("langgraph_api", reason="langgraph-cli[inmem] is not installed")


class Server:
    """A running `langgraph dev`."""

    def __init__(self, collection: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        command = [str(Path(sys.executable).parent / "langgraph"), "dev", "--no-browser", "--no-reload"]
        command += ["--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]]
        own = {
            "IMAGESCOPE_COLLECTION": str(collection),
            "LANGSMITH_TRACING": "false",
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        }
        self.log = log.open("wb")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | own,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer to a GET, or to a POST of `body`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return json.loads(reply.read())

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("/ok")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def close(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(timeout=600)
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    make_world(folder / "world", 5, 24)
    index_folder(folder / "world" / "images", progress=False)
    running = Server(folder / "world" / "images", folder / "log.txt")
    try:
        running.wait()
        yield running
    finally:
        running.close()
        print((folder / "log.txt").read_text(errors="replace")[-4000:])


def test_every_graph_is_served_with_a_schema(server: Server) -> None:
    assistants = {
        one["graph_id"]: one["assistant_id"] for one in server.ask("/assistants/search", {"limit": 50})
    }
    assert sorted(assistants) == GRAPHS
    for name, assistant in assistants.items():
        schemas = server.ask(f"/assistants/{assistant}/schemas")
        assert "query" in schemas["input_schema"]["properties"], name
        assert "ranking" in schemas["output_schema"]["properties"], name
        assert "top_k" in schemas["context_schema"]["properties"], name


# cir_cot searches with an embedder that reasons, which the profile of this server does not have
@pytest.mark.parametrize("graph", [name for name in GRAPHS if name != "cir_cot"])
def test_a_run_is_answered(graph: str, server: Server) -> None:
    wanted = {"assistant_id": graph, "input": {"query": "a red house"}, "context": {"top_k": 5}}
    state = server.ask("/runs/wait", wanted)
    assert "__error__" not in state, state
    assert len(state["ranking"]) == len(set(state["ranking"])) >= 5

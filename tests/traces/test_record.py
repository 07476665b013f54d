"""A run leaves a trace: what was asked, what it cost, what changed; killed runs and secrets included."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.traces.explain import explain
from imagescope_agent.traces.store import TraceStore
from imagescope_agent.traces.trace import Trace

KEY = "sk-abcdefghijklmnopqrstuvwxyz123456"


@pytest.fixture
def make(world: Any) -> Any:
    def make(judge: Any = "No: too red", **options: Any) -> ImageScope:
        def reply(asked: Any) -> str:
            if asked.options["response_format"] == "IntentAnswer":
                steps = [{"type": "Addition", "text": "blue"}]
                return json.dumps({"steps": steps, "core": "red", "enhanced": "red", "full": "red"})
            return json.dumps({"predicates": [{"question": "Is it blue?", "expected": "Yes"}]})

        services = world.services(
            reasoner=world.role("reasoner", reply),
            verifier=world.role(
                "verifier", scorer=lambda asked: [0.9, 0.1] if world.colour(asked) == "blue" else [0.2, 0.8]
            ),
            judge=world.role("judge", judge),
        )
        return ImageScope(services, **options)

    return make


def read(scope: ImageScope, run: str | None = None) -> Trace:
    assert isinstance(scope.traces, Path)
    with closing(TraceStore(scope.traces)) as store:
        return Trace(*store.read(run))


def test_a_trace_tells_the_whole_run_and_agrees_with_the_result_to_the_token(make: Any, world: Any) -> None:
    scope = make()
    result = scope.search("a red square")
    trace = read(scope, result.run)
    counts = ("calls", "prompt_tokens", "completion_tokens", "image_prefills")
    assert {name: trace.usage[name] for name in counts} == {name: result.usage[name] for name in counts}
    assert [step.node for step in trace.steps] == [
        "begin", "describe", "understand", "retrieve", "predicates", "verify", "judge", "answer"
    ]  # fmt: skip
    assert trace.status == "done"
    assert [node for node, _ in trace.stages] == ["retrieve", "verify", "judge"]
    assert [ranking for _, ranking in trace.stages] == list(result.rankings.values())
    assert trace.verdicts["blue.png"] == {"Is it blue?": 0.9}
    assert trace.predicates == result.predicates
    verified = next(call for call in trace.calls if call.role == "verifier")
    assert set(verified.images) == set(world.collection.ids)
    assert trace.head["settings"]["top_k"] == 20
    assert set(trace.head["weights"]) == {
        "embedder",
        "captioner",
        "reasoner",
        "talker",
        "classifier",
        "verifier",
        "judge",
    }
    why = explain(trace, "blue.png", "red.png")
    assert why.stage == "verify"
    assert "Is it blue?" in why.text


def test_a_run_that_fails_ends_where_it_failed_and_resuming_goes_on_in_the_same_trace(make: Any) -> None:
    down = make(judge=[BackendUnavailable(f"refused: authorization: Bearer {KEY}")] * 3)
    with pytest.raises(BackendUnavailable):
        down.search("a red square")
    trace = read(down)
    assert trace.status == "failed"
    assert [step.attempt for step in trace.steps if step.node == "judge"] == [1, 2, 3]
    assert trace.steps[-1].error
    result = make().resume(trace.head["thread"])
    resumed = read(down)
    assert resumed.id == trace.id
    assert resumed.status == "done"
    assert resumed.usage["calls"] == result.usage["calls"]


def test_secrets_are_never_written(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a value of no known form")
    scope = make(judge=f"No: {KEY} a value of no known form")
    scope.search(f"my key is {KEY}, api_key=qwertyuiop")
    with closing(sqlite3.connect(scope.traces)) as base:
        text = "".join(row[0] for row in base.execute("select query from runs"))
        blobs = base.execute("select data from events union all select about from runs").fetchall()
    text += "".join(zlib.decompress(row[0]).decode() for row in blobs)
    assert "[secret]" in text
    for secret in (KEY, "a value of no known form", "qwertyuiop"):
        assert secret not in text
    assert "base64" not in text


def test_traces_are_off_with_one_setting(make: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make(traces=False).search("a red square")
    monkeypatch.setenv("IMAGESCOPE_TRACES", "off")
    make().search("a red square")
    assert not (world.collection.location / "traces.sqlite").exists()


def test_a_search_outlives_a_store_that_cannot_be_written(make: Any, tmp_path: Any) -> None:
    (tmp_path / "broken.sqlite").write_text("no database at all " * 100)
    result = make(traces=tmp_path / "broken.sqlite").search("a red square")
    assert result.results[0].id == "blue.png"
    assert [(note["step"], note["kind"]) for note in result.notes] == [("trace", "skipped")]
    assert "cannot keep traces" in result.notes[0]["detail"]

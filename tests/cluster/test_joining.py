"""What is refused, set and put back around a cluster; none is started."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.api import index_folder
from imagescope_agent.cluster import connection
from imagescope_agent.errors import BackendUnavailable, BadInput, MissingExtra
from imagescope_agent.evaluation import evaluate as evaluation
from imagescope_agent.evaluation import on_cluster
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.run_store import RunStore
from tests.cluster.nodes import require_ray
from tests.evaluation.conftest import drawn as drawn  # the fixture
from tests.scripted_profile import scripted_profile

NAME = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What Ray is started with, and how this process is set then; nothing is started."""
    require_ray()
    import ray
    from ray._private import ray_constants

    found: dict[str, Any] = {}

    def init(**given: Any) -> None:
        found.update(given, name=os.environ.get(NAME), clusters=ray_constants.ENABLE_RAY_CLUSTER)
        signal.signal(signal.SIGTERM, lambda *_: None)  # as Ray does

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv(NAME, raising=False)
    yield found


def test_a_cluster_of_this_machine_listens_on_this_machine(started: dict[str, Any]) -> None:
    with connection.joined(None):
        assert started["address"] == "local" and started["name"] == "0" and not started["clusters"]
    assert NAME not in os.environ
    with connection.joined("auto"):
        assert started["address"] == "auto" and started["name"] is None and started["clusters"]


def test_what_was_set_is_put_back(started: dict[str, Any]) -> None:
    import ray

    context, log = connection._context(ray), logging.getLogger("ray.data")

    def state() -> tuple[Any, ...]:
        ordered, bars = context.execution_options.preserve_order, context.enable_progress_bars
        return ordered, bars, log.level, signal.getsignal(signal.SIGTERM)

    before = state()
    with pytest.raises(BackendUnavailable), connection.joined(None):
        context.execution_options.preserve_order = not before[0]
        assert not context.enable_progress_bars and state()[2:] != before[2:]
        raise BackendUnavailable("a")
    assert state() == before


def test_an_address_of_ray_client_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="HOST:PORT"):
        index_folder(tmp_path, engine="ray", address="ray://head:10001")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(BadInput, match="HOST:PORT"):
        evaluate("scenes", root=tmp_path, out=tmp_path / "out", engine="ray")


def test_a_folder_is_not_watched_by_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["index", str(tmp_path), "--watch", "--engine", "ray"]) == 2
    assert "--watch" in capsys.readouterr().err


@pytest.mark.parametrize("given", [{"system": object()}, {"concurrency": 2}])
def test_what_only_this_process_can_do_is_refused_on_a_cluster(given: Any, tmp_path: Path) -> None:
    require_ray()
    with pytest.raises(BadInput, match="nodes open the graph themselves"):
        evaluate("scenes", root=tmp_path, out=tmp_path / "out", engine="ray", **given)
    assert not (tmp_path / "out").exists()


def test_a_node_draws_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="same path"):
        evaluation._open_on_node(("scenes", tmp_path / "none", None, None, 0), {}, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput):
        evaluation._open_on_node(("scenes", tmp_path / "empty", None, None, 0), {}, {})
    assert not (tmp_path / "none").exists() and not any((tmp_path / "empty").iterdir())


def test_a_node_with_another_data_set_or_other_models_is_refused(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Opened:
        identity: ClassVar[dict[str, Any]] = {"weights": {"embedder": "a"}, "judge": "none"}

    monkeypatch.setattr(evaluation, "open_system", lambda *_, **__: Opened())
    where = ("scenes", drawn, None, 3, 0)
    queries = evaluation._load(*where)[1]
    same = evaluation._identified(queries, Opened())
    assert [query.qid for query in evaluation._open_on_node(where, {}, same)[1]] == [q.qid for q in queries]
    with pytest.raises(BadInput, match="has other weights;"):
        Opened.identity = {"weights": {"embedder": "b"}, "judge": "none"}
        evaluation._open_on_node(where, {}, same)
    with pytest.raises(BadInput, match="has other weights and queries;"):
        evaluation._open_on_node(("scenes", drawn, None, 2, 0), {}, same)


def broken() -> Any:
    raise KeyError("q7")


def test_what_nobody_expects_while_a_node_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "node_id", lambda: "n1")
    told = on_cluster._Actor(broken)({"number": 0, "qids": "[]"})["told"]
    assert "KeyError" in told and "ModelFailed" in told


def test_a_cluster_that_is_gone_before_any_query_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_ray()
    import ray

    def gone(_: Any) -> Any:
        raise ray.exceptions.RaySystemError("gone")

    monkeypatch.setattr(on_cluster, "slots", gone)
    with pytest.raises(BackendUnavailable, match="gone"), closing(RunStore(tmp_path / "out", {})) as store:
        on_cluster.answer_on_cluster(ray, "x", [], broken, store, progress=False)


def test_what_no_engine_is_given_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="local, ray"):
        index_folder(tmp_path, engine="spark")
    with pytest.raises(BadInput, match="--engine ray"):
        index_folder(tmp_path, address="auto")


def test_a_cluster_that_is_not_there_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_ray()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    profile = tmp_path / "own.toml"
    profile.write_text(scripted_profile("tests.cluster.models:open_plain:log"))
    with pytest.raises(BackendUnavailable, match=r"the cluster '127.0.0.1:1' does not answer"):
        index_folder(
            tmp_path, profile=str(profile), out=tmp_path / "out", engine="ray", address="127.0.0.1:1"
        )
    assert not (tmp_path / "out").exists()


def test_without_its_extra_the_engine_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'imagescope-agent\[ray\]'"):
        index_folder(tmp_path, engine="ray")
    with pytest.raises(MissingExtra, match="imagescope-agent"):
        evaluate("scenes", root=tmp_path, out=tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()

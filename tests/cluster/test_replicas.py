"""Whether replicas can start and why they did not, from what a cluster tells; none is started."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.cluster import connection
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.service.hosted import on_ray
from tests.cluster.nodes import require_ray

CORES = {"CPU": 4.0, "memory": 9.0}
GPUS = {**CORES, "GPU": 2.0}


class Nodes:
    """A cluster with these resources, of which other work has left `free`, as one look after the other finds it."""

    def __init__(self, there: dict[str, float], *free: dict[str, float]) -> None:
        self._there, self._free = there, itertools.chain(free, itertools.repeat(free[-1]))

    def cluster_resources(self) -> dict[str, float]:
        return self._there

    def available_resources(self) -> dict[str, float]:
        return next(self._free)


class Serve:
    """Ray Serve without a proxy, with an application whose replicas did not start."""

    def __init__(self, message: str = "") -> None:
        self._message = message

    def status(self) -> Any:
        deployments = {"Hosted": SimpleNamespace(message=self._message)}
        applications = {on_ray.NAME: SimpleNamespace(deployments=deployments)} if self._message else {}
        return SimpleNamespace(proxies={}, applications=applications)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(on_ray, "FREED", 0.3)
    yield


@pytest.mark.parametrize(
    ("there", "free", "replicas", "told"),
    [
        (CORES, {"memory": 9.0}, None, "room for 0 models of 4.*ray status"),
        (CORES, {"CPU": 0.5}, 1, "room for 0 models of 4"),
        (CORES, {"CPU": 3.0}, 4, "room for 3 models of 4.*--replicas 3"),
        (GPUS, {"CPU": 4.0}, None, "room for 0 models of 2"),
        (GPUS, {"GPU": 2.0}, 2, "room for 0 models of 2"),
        (GPUS, {"GPU": 2.0, "CPU": 1.0}, 2, "--replicas 1"),
    ],
)
def test_what_other_work_holds_is_told_before_anything_waits(
    there: dict[str, float], free: dict[str, float], replicas: int | None, told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        on_ray._room(Nodes(there, free), Serve(), replicas)


def test_as_many_replicas_as_are_free_are_started() -> None:
    assert on_ray._room(Nodes(CORES, {"CPU": 3.0}), Serve(), None) == (3, {"num_cpus": 1})
    assert on_ray._room(Nodes(CORES, CORES), Serve(), 2) == (2, {"num_cpus": 1})
    assert on_ray._room(Nodes(GPUS, {"GPU": 1.0, "CPU": 4.0}), Serve(), None) == (1, {"num_gpus": 1})


def test_what_a_job_took_that_has_just_ended_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "FREED", 60)
    nodes = Nodes(CORES, {"memory": 9.0}, {"CPU": 1.0}, CORES)
    assert on_ray._room(nodes, Serve(), 4) == (4, {"num_cpus": 1})


MESSAGE = """The deployment failed to start 3 times in a row. See controller logs for details. Error:
ray::ServeReplica:imagescope:Hosted.initialize_and_get_metadata() (pid=1, ip=127.0.0.1)
  File "on_ray.py", line 73, in build
    raise BadInput(
{kind}: {what}

During handling of the above exception, another exception occurred:

RuntimeError: Traceback (most recent call last): no more"""


def failed(message: str) -> str:
    """What is told of an application that Ray Serve could not deploy."""

    def run(*_: Any, **__: Any) -> None:
        raise RuntimeError(
            "Deploying application imagescope failed: Failed to update the deployments ['Hosted']."
        )

    serve = SimpleNamespace(
        run=run,
        status=Serve(message).status,
        ingress=lambda _: lambda kind: kind,
        deployment=lambda *_, **__: Bound(),
    )
    hosted: Any = SimpleNamespace(queue=SimpleNamespace(most=2))
    with pytest.raises(BackendUnavailable) as found:
        on_ray._deploy(serve, hosted, SimpleNamespace(build=None), 1, {"num_cpus": 1})  # type: ignore[arg-type]
    return str(found.value)


class Bound:
    def bind(self) -> None:
        pass


@pytest.mark.parametrize(
    "kind",
    [
        "imagescope_agent.errors.BadInput",
        "imagescope_agent.errors.Misconfigured",
        "ray.exceptions.RayTaskError(BackendUnavailable)",
    ],
)
def test_why_a_replica_does_not_start_is_told(kind: str) -> None:
    told = failed(MESSAGE.format(kind=kind, what="the node 'n1' has other weights"))
    assert told.startswith("no replica starts: the node 'n1' has other weights; see")


def test_an_error_that_is_not_ours_is_told_as_ray_tells_it() -> None:
    assert "no replica starts: RuntimeError: Traceback" in failed(
        MESSAGE.format(kind="OSError", what="stale")
    )
    assert "no replica starts: Deploying application imagescope failed" in failed("")


def test_ray_serve_leaves_standard_error_to_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_ray()
    import ray

    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    log = logging.getLogger("ray.serve")
    written = logging.StreamHandler()
    monkeypatch.setattr(log, "handlers", [written])
    monkeypatch.setattr(log, "level", logging.INFO)
    with connection.joined(None):
        log.error("Started Serve")
    assert not capsys.readouterr().err and log.level == logging.INFO

"""Replicas of a hosted model behind one address, as a deployment of Ray Serve (extra `serve-ray`).

Each replica is the application of `hosted.app`, so routes, keys and limits are the same. Requests go to the replica
with less to do. One that dies is started anew; what it was asked is answered HTTP 5xx, which clients send again.
"""

from __future__ import annotations

import importlib
import io
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from imagescope_agent.cluster.connection import answering, joined, slots
from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError, MissingExtra, shorten
from imagescope_agent.profiles.profile import Profile
from imagescope_agent.runs.run_graph import run_sync
from imagescope_agent.service.app import HOST, base_url
from imagescope_agent.service.hosted.app import create_model_app
from imagescope_agent.service.hosted.model import HostedModel, host_model

NAME = "imagescope"  # of the application
STARTS = 3  # of a replica that does not start
LOOK = 5.0  # seconds between two looks at whether the cluster is there
GRACE = 5.0  # seconds that requests under way have when it stops
FREED = 10.0  # seconds until what a job took that has just ended is free again
MORE = 10.0  # seconds that a request may take beyond the time the model has for it


@dataclass(frozen=True, kw_only=True)
class Replica:
    """What each replica is made of.

    Args:
        profile: whose model.
        role: that it has there.
        limits: the other arguments of `host_model`.
        weights: of the model here; a node that has others is refused.
        host: the address that the service listens on.
    """

    profile: Profile
    role: str
    limits: dict[str, Any] = field(repr=False)
    weights: str
    host: str = HOST

    def build(self) -> FastAPI:
        """The application, on the node where a replica runs.

        Raises:
            BadInput: that node has other weights.
            BackendUnavailable: the weights cannot be loaded.
        """
        _listen_as_the_node_does()
        hosted = host_model(self.profile, self.role, **self.limits)
        if hosted.model.weights != self.weights:
            raise BadInput(
                f"the node {socket.gethostname()!r} has other weights; install the same on every node"
            )
        run_sync(hosted.warm_up())  # here, where what goes wrong is told
        return create_model_app(hosted, host=self.host)


def library() -> Any:
    """The package Ray Serve.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise MissingExtra(
            "--engine ray needs extras here: pip install 'imagescope-agent[serve,serve-ray]'"
        ) from error
    return serve


def serve_on_ray(
    hosted: HostedModel,
    replica: Replica,
    *,
    address: str | None,
    replicas: int | None,
    port: int,
    ready: Callable[[str, int], None],
) -> None:
    """Serve until the process is told to stop.

    Args:
        hosted: the model as it would be served here; its weights are not loaded.
        replica: the same for the nodes.
        address: of the cluster, as `joined` takes it.
        replicas: how many; None for as many as the cluster can hold.
        port: to listen on, 0 for any that is free.
        ready: gets the address and the number of replicas once all of them are ready.

    Raises:
        BadInput: the port is taken, the cluster cannot hold so many now, or it serves something already.
        BackendUnavailable: the cluster or all replicas fail.
        MissingExtra: Ray Serve is not installed.
    """
    serve = library()
    port = _free(replica.host, port)
    with joined(address) as ray, answering():
        count, takes = _room(ray, serve, replicas)
        timeout = hosted.queue.timeout + MORE
        with _serving(serve, replica.host, port, timeout, keep=address is None):
            _deploy(serve, hosted, replica, count, takes)
            _require_here(replica.host, port)
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())  # `joined` puts it back
            ready(base_url(replica.host, port), count)
            while not stop.wait(LOOK):
                serve.status()


def _room(ray: Any, serve: Any, replicas: int | None) -> tuple[int, dict[str, int]]:
    """How many replicas are started, and what each takes of Ray.

    Raises:
        BadInput: the cluster cannot hold so many, other work has what they need, or it serves something already.
    """
    most, takes = slots(ray)
    if replicas is not None and replicas > most:
        raise BadInput(f"the cluster can hold {most} models at a time; give --replicas {most}, or add nodes")
    if serve.status().proxies:
        raise BadInput("this cluster serves something already; end it with: serve shutdown")
    free = _free_slots(ray, takes, replicas or most)
    if free < (replicas or 1):  # Ray would wait for the others without a word
        smaller = f"give --replicas {free}, or " if free else ""
        raise BadInput(
            f"other work on the cluster leaves room for {free} models of {most}, each of a core and one GPU where "
            f"there are any; {smaller}wait until it has ended (ray status)"
        )
    return replicas or free, takes


def _free_slots(ray: Any, takes: dict[str, int], wanted: int) -> int:
    """How many replicas can start now, `wanted` at most; what a job took that has just ended is waited for."""
    needs = {"CPU": 1, **({"GPU": takes["num_gpus"]} if "num_gpus" in takes else {})}  # Serve adds the core
    ends = time.monotonic() + FREED
    while True:
        there = ray.available_resources()
        free = min(int(there.get(name, 0) // each) for name, each in needs.items())
        if free >= wanted or time.monotonic() > ends:
            return min(free, wanted)
        time.sleep(0.2)


@contextmanager
def _serving(serve: Any, host: str, port: int, timeout: float, *, keep: bool) -> Iterator[None]:
    """Ray Serve on the cluster; with `keep` what is left of it ends with the cluster."""
    options = {"host": host, "port": port, "request_timeout_s": timeout}
    try:
        serve.start(proxy_location="HeadOnly", http_options=options)
        yield
    finally:
        serve.delete(NAME)
        if not keep:
            with redirect_stdout(io.StringIO()):  # where Ray prints that its controller is gone
                serve.shutdown()


def _deploy(serve: Any, hosted: HostedModel, replica: Replica, count: int, takes: dict[str, int]) -> None:
    """Start the replicas, and wait until they are ready.

    Raises:
        BackendUnavailable: they do not start.
    """

    def build() -> FastAPI:  # a function, since Ray Serve takes other callables for applications
        return replica.build()

    class Hosted:
        """What is deployed."""

    deployed = serve.deployment(
        serve.ingress(build)(Hosted),
        num_replicas=count,
        ray_actor_options=takes,
        max_ongoing_requests=hosted.queue.most,
        max_queued_requests=hosted.queue.most,
        max_constructor_retry_count=STARTS,
        graceful_shutdown_timeout_s=GRACE,
        graceful_shutdown_wait_loop_s=0.5,
        health_check_period_s=2,
    )
    try:
        serve.run(deployed.bind(), name=NAME, route_prefix="/")
    except RuntimeError as error:
        raise BackendUnavailable(
            f"no replica starts: {_why(serve, error)}; see that every node can run `imagescope serve-model`"
        ) from error


def _why(serve: Any, error: RuntimeError) -> str:
    """What a replica raised as it started: the last error of this package, else the last line of what Ray tells."""
    application = serve.status().applications.get(NAME)
    deployments: Iterable[Any] = application.deployments.values() if application else ()
    told = "\n".join([str(error), *(each.message for each in deployments)])
    own = re.findall(
        r"^[\w.()]*\b(?:" + "|".join(_kinds(ImageScopeError)) + r")\b\)?: (.+)$", told, re.MULTILINE
    )
    return shorten(own[-1] if own else told.strip().splitlines()[-1], 200)


def _kinds(kind: type[Exception]) -> list[str]:
    """The names of a class and of all below it."""
    names = [kind.__name__]
    for below in kind.__subclasses__():
        names += _kinds(below)
    return names


def _listen_as_the_node_does() -> None:
    """Have this replica listen on the address of its node alone; Ray Serve takes all addresses for what replicas ask
    of each other, and reads that with pickle.
    """
    import ray

    replicas: Any = importlib.import_module("ray.serve._private.replica")
    listen, own = replicas.add_port_to_grpc_server, ray.util.get_node_ip_address()

    def add_port(server: Any, address: str) -> Any:
        return listen(server, f"{own}:{address.rpartition(':')[2]}")

    replicas.add_port_to_grpc_server = add_port  # of this process, which holds one replica


def _free(host: str, port: int) -> int:
    """The port, or one that is free for 0.

    Raises:
        BadInput: it is taken.
    """
    try:
        with socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        ) as one:
            return int(one.getsockname()[1])
    except OSError as error:
        raise BadInput(f"cannot listen on {host}, port {port}; choose another with --port") from error


def _require_here(host: str, port: int) -> None:
    """Make sure that this machine is the one that listens.

    Raises:
        BadInput: the head node of the cluster is another.
    """
    try:
        socket.create_connection((host, port), timeout=LOOK).close()
    except OSError as error:
        raise BadInput(
            "the head node of the cluster listens, which is not this machine; run this there"
        ) from error

"""Joining a Ray cluster, or starting one of this machine, for as long as a command runs."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from imagescope_agent.errors import (
    BackendUnavailable,
    BadInput,
    MissingExtra,
    shorten,
)

ENGINES = ("local", "ray")
CONNECTED = 10.0  # seconds until a cluster has to answer
BLOCKS = 10_000  # of a data set of Ray, at most
TRIES = 3  # of what a worker computes when it dies, after the first
#: No reports to its makers, nothing on standard error, and one warning less for each start.
_UNREPORTED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}
#: Loggers that write to standard error in the process that asks; Ray Serve's does so whatever its variable says.
_LOGS = ("ray.data", "ray.serve")


def require_engine(engine: str, address: str | None) -> None:
    """Check the name of an engine before anything is opened.

    Raises:
        BadInput: there is none of that name, an address is given to one that has none, or one of Ray Client.
        MissingExtra: Ray is not installed.
    """
    if engine not in ENGINES:
        raise BadInput(f"there is no engine {engine!r}; give one of {', '.join(ENGINES)}")
    if engine == "local" and address is not None:
        raise BadInput("--address is of a Ray cluster; add --engine ray")
    if engine == "ray":
        if _place(address).startswith("ray://"):  # Ray Data runs in a driver that is in the cluster
            raise BadInput(
                "no work is sent through ray://; run this on a node, with --address auto or HOST:PORT"
            )
        library()


def library() -> Any:
    """The package Ray.

    Raises:
        MissingExtra: it is not installed.
    """
    for name, value in _UNREPORTED.items():  # before it is imported: nothing is reported to its makers
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("--engine ray needs an extra: pip install 'imagescope-agent[ray]'") from error
    return ray


@contextmanager
def joined(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster, and set to say nothing itself while the block runs.

    Args:
        address: "auto" for the cluster that this machine is a node of, or HOST:PORT; None is that of RAY_ADDRESS, else
            a cluster of this machine alone, which listens on this machine only and ends with the block.

    Raises:
        MissingExtra: Ray is not installed.
        BackendUnavailable: there is no such cluster, or it failed.
    """
    ray = library()
    if ray.is_initialized():  # the caller's own
        with _quiet(ray):
            yield ray
        return
    place = _place(address)
    options = {"include_dashboard": False} if place == "local" else {}
    with _quiet(ray), on_loopback() if place == "local" else nullcontext():
        try:
            _require_listening(place)
            try:
                ray.init(address=place, log_to_driver=False, logging_level=logging.ERROR, **options)
            except (
                ConnectionError,
                TimeoutError,
                ray.exceptions.RayError,
                RuntimeError,
                ValueError,
            ) as error:
                raise _failed(place, error) from error
            yield ray
        finally:
            ray.shutdown()


def _place(address: str | None) -> str:
    """What Ray is told: "local" is a cluster of this machine."""
    return address or os.environ.get("RAY_ADDRESS") or "local"


@contextmanager
def on_loopback() -> Iterator[None]:
    """Let a cluster that is started listen on 127.0.0.1, as Ray does on macOS; else it listens on all addresses.

    The agents of its dashboard, which there is none of, are left out as they are where Ray is installed without it:
    they listen at a port that is the same for all clusters, and the start of a node waits for them.
    """
    from ray._private import ray_constants, utils

    name, before = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", ray_constants.ENABLE_RAY_CLUSTER
    given, lacking = os.environ.get(name), utils.get_dashboard_dependency_error
    os.environ[name] = "0"  # of the processes that are started
    ray_constants.ENABLE_RAY_CLUSTER = False
    utils.get_dashboard_dependency_error = lambda: ImportError("there is no dashboard")
    try:
        yield
    finally:
        utils.get_dashboard_dependency_error = lacking
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        os.environ.update({} if given is None else {name: given})


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Leave standard error to the commands; what Ray sets beside that in this process is put back, too."""
    context = _context(ray)
    ordered, bars = context.execution_options.preserve_order, context.enable_progress_bars
    levels = {log: log.level for log in map(logging.getLogger, _LOGS)}
    stop = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    context.enable_progress_bars = False
    for log in levels:
        log.setLevel(logging.CRITICAL)  # what it raises is told
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = ordered, bars
        for log, level in levels.items():
            log.setLevel(level)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)


def _require_listening(place: str) -> None:
    """Make sure that somebody listens at HOST:PORT, for which Ray itself would wait some minutes.

    Raises:
        BackendUnavailable: nobody does.
    """
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal():
        return  # "auto", "local": Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECTED).close()
    except (OSError, OverflowError) as error:
        raise _failed(place, error) from error


@contextmanager
def answering() -> Iterator[None]:
    """Tell in a line what Ray says.

    Raises:
        BackendUnavailable: the cluster does not answer, or its workers died again and again.
    """
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        raise _failed("Ray", error) from error


def _failed(place: str, error: Exception) -> BackendUnavailable:
    told = shorten(str(getattr(error, "cause", None) or error), 200)
    return BackendUnavailable(
        f"the cluster {place!r} does not answer or failed: {told}; check that it runs (ray status), then run "
        "this again: what was finished is kept"
    )


def on_actors(
    ray: Any, rows: Sequence[Mapping[str, Any]], actor: type, arguments: tuple[Any, ...]
) -> Iterator[Mapping[str, Any]]:
    """Rows computed from rows by actors that each hold a model, in any order.

    What a dead worker had is computed again by the one in its place. Where a node is gone, the rows that are left are
    given to actors on the others, as long as some come back.

    Args:
        ray: connected.
        rows: of plain values, with a "number" that their results have too.
        actor: called with a row, returns one; what it raises is not tried again.
        arguments: it is made with.

    Raises:
        ray.exceptions.RayError: the workers died again and again.
    """
    left, tries = {row["number"]: row for row in rows}, TRIES
    while left:
        before = len(left)
        try:
            for row in _pool(ray, list(left.values()), actor, arguments):
                del left[row["number"]]
                yield row
        except ray.exceptions.RayError as error:
            tries = TRIES if len(left) < before else tries - 1
            if isinstance(error, ray.exceptions.RayTaskError) or tries < 0:
                raise


def _pool(
    ray: Any, rows: list[Mapping[str, Any]], actor: type, arguments: tuple[Any, ...]
) -> Iterator[Mapping[str, Any]]:
    """As `on_actors`, of a pool whose nodes all live."""
    # what is done waits for nothing: a killed driver has it
    _context(ray).execution_options.preserve_order = False
    count, takes = slots(ray)
    count = min(count, len(rows))
    listed = ray.data.from_items(rows, override_num_blocks=min(BLOCKS, len(rows)))
    # an actor that is idle at the end makes room for one that is started anew
    pool = ray.data.ActorPoolStrategy(
        min_size=1, max_size=count, initial_size=count, max_tasks_in_flight_per_actor=2
    )
    options = {"max_restarts": -1, "max_task_retries": TRIES, **takes}
    made = mapped(listed, actor, fn_constructor_args=arguments, compute=pool, **options)
    yield from made.iter_rows()


def _context(ray: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own fields, when it is first made
        return ray.data.DataContext.get_current()


def mapped(rows: Any, work: Any, **options: Any) -> Any:
    """`Dataset.map` with a bound on retries, without its advice: the advised arguments have none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return rows.map(work, **options)


def slots(ray: Any) -> tuple[int, dict[str, int]]:
    """How many models the cluster can hold, one a GPU where it has any and else one a core; what each takes of Ray."""
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0))
    return (gpus, {"num_gpus": 1}) if gpus else (max(1, int(there.get("CPU", 1))), {"num_cpus": 1})

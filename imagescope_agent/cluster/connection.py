"""Joining a Ray cluster, or starting one of this machine, for as long as a command runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imagescope_agent.errors import BackendUnavailable, BadInput, MissingExtra, shorten

ENGINES = ("local", "ray")
TRIES = 3  # of what a worker computes when it dies, after the first
#: No reports to its makers, nothing on standard error, and one warning less for each start.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def require_engine(engine: str, address: str | None) -> None:
    """Check the name of an engine before anything is opened.

    Raises:
        BadInput: there is none of that name, or an address is given to one that has none.
        MissingExtra: Ray is not installed.
    """
    if engine not in ENGINES:
        raise BadInput(f"there is no engine {engine!r}; give one of {', '.join(ENGINES)}")
    if engine == "local" and address is not None:
        raise BadInput("--address is of a Ray cluster; add --engine ray")
    if engine == "ray":
        library()


def library() -> Any:
    """The package Ray.

    Raises:
        MissingExtra: it is not installed.
    """
    for name, value in _QUIET.items():  # before it is imported: nothing is reported to its makers
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("--engine ray needs an extra: pip install 'imagescope-agent[ray]'") from error
    return ray


@contextmanager
def joined(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster; left as it was found afterwards.

    Args:
        address: "auto" for the cluster that this machine is a node of, HOST:PORT, or ray://HOST:PORT; None is that of
            RAY_ADDRESS, else a cluster of this machine alone, which ends with the block.

    Raises:
        MissingExtra: Ray is not installed.
        BackendUnavailable: there is no such cluster, or it failed.
    """
    ray = library()
    if ray.is_initialized():  # the caller's own
        yield ray
        return
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    options = {"include_dashboard": False} if place == "local" else {}
    try:
        with answering(place):
            ray.init(address=place, log_to_driver=False, logging_level=logging.ERROR, **options)
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def answering(place: str = "Ray") -> Iterator[None]:
    """Tell in a line what Ray says.

    Raises:
        BackendUnavailable: a cluster does not answer, or its workers died again and again.
    """
    import ray

    try:
        yield
    except (ConnectionError, TimeoutError, ray.exceptions.RayError, RuntimeError, ValueError) as error:
        told = shorten(str(getattr(error, "cause", None) or error), 200)
        raise BackendUnavailable(
            f"the cluster {place!r} does not answer or failed: {told}; check that it runs (ray status), then run "
            "this again: what was finished is kept"
        ) from error


def slots(ray: Any) -> tuple[int, dict[str, int]]:
    """How many models the cluster can hold, one a GPU where it has any and else one a core; what each takes of Ray."""
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0))
    return (gpus, {"num_gpus": 1}) if gpus else (max(1, int(there.get("CPU", 1))), {"num_cpus": 1})

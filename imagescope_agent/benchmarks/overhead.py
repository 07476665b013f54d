"""What it costs to write runs down: the same searches with nothing kept, with checkpoints, with traces, with both.

Seconds are of the processor, not of the clock, so that other work on the machine does not drown what is small.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from imagescope_agent.api import ImageScope
from imagescope_agent.benchmarks.machine import machine
from imagescope_agent.collection.index import build
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import load_prompt
from imagescope_agent.scenes.make import make_world
from imagescope_agent.services import Services, open_embedder_of, open_roles, open_services, weights_of
from imagescope_agent.traces.record import Recorder

VARIANTS = {  # name: (checkpoints, traces)
    "nothing": (False, False),
    "checkpoints": (True, False),
    "traces": (False, True),
    "both": (True, True),
}
QUERIES = ("a red star", "a blue boat and a green house", "a yellow flower left of a white fish")
LISTENING = (
    *(
        "on_chain_start",
        "on_chain_end",
        "on_chain_error",
        "on_chat_model_start",
        "on_llm_end",
        "on_llm_error",
    ),
    "on_custom_event",
)


def run(*, profile: str = "mini", count: int = 24, repeats: int = 5, seed: int = 0) -> dict[str, Any]:
    """Search a drawn collection in all variants in turn, `repeats` times each query.

    Args:
        profile: whose models search.
        count: pictures, drawn.
        repeats: rounds; each gives a ratio to the same round's "nothing", of which the median counts.
        seed: of the pictures.

    Returns:
        {"bench", "machine", "variants": {name: {"seconds": median, "bytes": a search}}, "ratios":
        {"VARIANT/nothing": median of paired ratios, "recorder/search": share of a search spent in the recorder}}.

    Raises:
        BadInput: an unknown profile.
        BackendUnavailable: its models cannot be loaded.
    """
    with TemporaryDirectory() as folder:
        services = _services(Path(folder), profile, count, seed)
        return {
            "bench": "overhead",
            "machine": machine(),
            "searches": len(QUERIES) * repeats,
            **measure(services, Path(folder) / "kept", repeats),
        }


def measure(services: Services, kept: Path, repeats: int) -> dict[str, Any]:
    """The variants and ratios of `run`, on opened services; what is kept goes into the folder `kept`."""
    kept.mkdir(parents=True)
    files = {name: (kept / f"{name}.runs", kept / f"{name}.traces") for name in VARIANTS}
    scopes = {
        name: ImageScope(
            services, runs=files[name][0] if runs else False, traces=files[name][1] if traces else False
        )
        for name, (runs, traces) in VARIANTS.items()
    }
    rounds: list[dict[str, float]] = []
    spent: list[float] = []
    for query in QUERIES:
        scopes["nothing"].search(query)  # the first time of a query is not like the others
    for number in range(repeats):
        seconds = dict.fromkeys(VARIANTS, 0.0)
        for query in QUERIES:
            for name in _turned(list(VARIANTS), number):  # nobody is always first
                with _counting(spent if name == "traces" else []):
                    start = time.process_time()
                    scopes[name].search(query)
                    seconds[name] += time.process_time() - start
        rounds.append(seconds)
    searches, traced = len(QUERIES) * repeats, sum(each["traces"] for each in rounds)
    ratios = {
        f"{name}/nothing": round(median(each[name] / each["nothing"] for each in rounds), 4)
        for name in VARIANTS
        if name != "nothing"
    }
    return {
        "variants": {
            name: {
                "seconds": round(median(each[name] for each in rounds) / len(QUERIES), 4),
                "bytes": round(sum(file.stat().st_size for file in files[name] if file.exists()) / searches),
            }
            for name in VARIANTS
        },
        "ratios": {**ratios, "recorder/search": round(sum(spent) / traced, 4)},
    }


def _services(folder: Path, profile: str, count: int, seed: int) -> Services:
    chosen = load_profile(profile)
    make_world(folder / "world", seed, count)
    captioner, images = open_roles(chosen)["captioner"], folder / "world" / "images"
    prompt = load_prompt("caption", prompt_set=captioner.prompt_set).fill()
    embedder = open_embedder_of(chosen)
    asyncio.run(build(images, None, embedder, captioner, prompt, captioner_weights=weights_of(captioner)))
    return open_services(profile, images)


def _turned(names: list[str], number: int) -> list[str]:
    turn = number % len(names)
    return names[turn:] + names[:turn]


@contextmanager
def _counting(spent: list[float]) -> Iterator[None]:
    """Add the seconds that recorders take to `spent`."""

    def timed(listen: Callable[..., None]) -> Callable[..., None]:
        def listening(*given: Any, **told: Any) -> None:
            start = time.thread_time()
            try:
                listen(*given, **told)
            finally:
                spent.append(time.thread_time() - start)

        return listening

    listeners: dict[str, Any] = {name: timed(getattr(Recorder, name)) for name in LISTENING}
    with patch.multiple(Recorder, **listeners):
        yield

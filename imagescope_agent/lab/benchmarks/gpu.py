"""`imagescope bench gpu`: models of published sizes with random weights, beside plain transformers in the same run.

What a search asks: yes/no verdicts of many candidates, and replies. Random weights take the time of trained ones; what
they say means nothing.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks import verify
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine, peak_memory
from imagescope_agent.lab.benchmarks.random_model import random_chat
from imagescope_agent.mllms.engine.backends.generate import GenerateBackend
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import MessageParser
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarCache
from imagescope_agent.mllms.request import Request
from imagescope_agent.mllms.transformers_chat import TransformersChat

GOALS = {"2b": 0.5, "8b": 1.6}  # seconds for 100 candidates x 4 questions on one H100
WAYS = {"shared_prefix": "shared prefixes", "batched": "plain batches", "published": "transformers generate"}


def run(
    *,
    size: Sequence[str] = ("2b", "8b"),
    candidates: int = 100,
    questions: int = 4,
    repeats: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure each size in turn.

    Args:
        size: keys of `random_model.SIZES`.
        candidates: images, drawn.
        questions: about each image.
        repeats: the fastest counts.
        seed: of images and questions.

    Returns:
        {"bench", "machine", "sizes": {size: {"verdicts": as of `verify.run`, "first_token": median seconds to the first
        token of a reply about an image, by way, "memory", "goal": seconds, None without one}}}.

    Raises:
        BackendUnavailable: a model does not fit into memory.
    """
    return {
        "bench": "gpu",
        "machine": machine(),
        "candidates": candidates,
        "questions": questions,
        "sizes": {each: _measured(each, candidates, questions, repeats, seed) for each in size},
    }


def _measured(size: str, candidates: int, questions: int, repeats: int, seed: int) -> dict[str, Any]:
    chat = random_chat(size)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    found = verify.run(
        model=chat, random=size, candidates=candidates, questions=questions, repeats=repeats, seed=seed
    )
    requests = verify.make_requests(max(2, repeats), 1, seed + 1, "mini")
    made = {
        "verdicts": {name: found["variants"][name] for name in WAYS},
        "ceiling_gflops": found["ceiling_gflops"],
        "first_token": first_tokens(chat, requests),
        "memory": peak_memory(),
        "goal": GOALS.get(size),
    }
    chat.engine().close()
    del chat
    gc.collect()
    return made


def first_tokens(chat: TransformersChat, requests: Sequence[Request]) -> dict[str, float]:
    """Median seconds until the first token of a reply, of the engine and of transformers' generate; one warms up."""
    ways: dict[str, Callable[[Request], float]] = {
        "engine": lambda request: asyncio.run(_of_engine(chat, request)),
        "transformers": lambda request: _of_generate(chat, request),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for request in requests:
        for name, way in ways.items():
            chat.clear_caches()
            seconds[name].append(way(request))
    return {name: round(median(each[1:]), 4) for name, each in seconds.items()}


async def _of_engine(chat: TransformersChat, request: Request) -> float:
    """A reply of one token: its text is known when that token is."""
    start = time.perf_counter()
    await chat.ainvoke(request.messages(), max_tokens=1)
    return time.perf_counter() - start


class _First(BaseStreamer):
    """Notes when the first token after the prompt comes."""

    def __init__(self) -> None:
        self.calls, self.at = 0, 0.0

    def put(self, value: Any) -> None:
        """The prompt comes first, then each token."""
        self.calls += 1
        if self.calls == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing is left to note."""


def _of_generate(chat: TransformersChat, request: Request) -> float:
    checkpoint, first = chat.engine().checkpoint, _First()
    whole = GenerateBackend(
        checkpoint, GrammarCache(checkpoint.tokenizer, checkpoint.vocabulary), EngineConfig()
    )
    start = time.perf_counter()
    with torch.inference_mode():
        inputs = whole.inputs([MessageParser().parse(request.messages())])
        checkpoint.model.generate(**inputs, max_new_tokens=1, do_sample=False, streamer=first)
    return first.at - start


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    rows = []
    for size, found in made["sizes"].items():
        for way, name in WAYS.items():
            row = found["verdicts"][way]
            rows.append(
                [
                    *(size, name, f"{row['seconds']}", f"{row['verdicts_per_second']}"),
                    *(f"{row['of_ceiling']:.1%}", f"{row['image_prefills']}", f"{row['tokens']}"),
                ]
            )
    head = ["model", "way", "seconds", "verdicts/s", "of ceiling", "image prefills", "tokens"]
    lines = [f"{made['candidates']} candidates x {made['questions']} questions", markdown_table(head, rows)]
    for size, found in made["sizes"].items():
        first = ", ".join(f"{name} {seconds} s" for name, seconds in found["first_token"].items())
        goal = "" if found["goal"] is None else f"; to reach on an H100: {found['goal']} s"
        lines.append(
            f"{size}: first token {first}; {describe_machine(found['memory'])}; ceiling "
            f"{found['ceiling_gflops']} GFLOP/s{goal}"
        )
    return "\n".join([*lines, describe_machine(made["machine"])])

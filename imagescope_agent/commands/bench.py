"""`imagescope bench`: measurements made side by side in one run, a line of BENCHES and a module each."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

BENCHES = {  # name: (module, help); the module has add_arguments(parser) and run(args), like every command
    "verify": (
        "bench_verify",
        "candidates x questions on one chat model, four ways: seconds, forwards, agreement",
    ),
    "searches": ("bench_searches", "searches one after another and all at once: seconds, rankings"),
    "judges": (
        "bench_judges",
        "accuracy against calls, tokens and seconds of every judge strategy, on drawn scenes or simulated",
    ),
    "graphs": ("bench_graphs", "what a query costs each graph, and what verifying only what matters saves"),
    "turn": ("bench_turn", "a conversation's later turns beside its first: tokens, calls, rankings"),
    "overhead": ("bench_overhead", "what checkpoints and traces cost a search, side by side with neither"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of every benchmark."""
    benches = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    for name, (_, summary) in BENCHES.items():
        bench = benches.add_parser(name, help=summary, description=summary)
        _module(name).add_arguments(bench)
        bench.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    code: int = _module(args.bench).run(args)
    return code


def _module(name: str) -> Any:
    return importlib.import_module(f"imagescope_agent.commands.{BENCHES[name][0]}")

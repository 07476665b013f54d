"""`imagescope triplets`: training triplets of a collection, built by its own models from unlabelled images."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from imagescope_agent.commands import given, natural, path, plain, positive

if TYPE_CHECKING:
    from imagescope_agent.training_data.journal import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="an indexed folder")
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help="the triplets, JSON lines")
    parser.add_argument("--count", type=positive, required=True, help="how many triplets are wanted")
    parser.add_argument("--seed", type=natural, default=0, help="of pairs, words and orders (default: 0)")
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.add_argument("--budget", type=natural, metavar="CALLS", help="at most so many model calls a pair")
    parser.add_argument(
        "--token-budget",
        type=natural,
        metavar="TOKENS",
        help="at most so many tokens read and written a pair",
    )
    parser.add_argument("--traces", type=path, metavar="FILE", help="keep a trace of every pair in this file")


def run(args: argparse.Namespace) -> int:
    """Build the triplets and say how many there are and why pairs were dropped."""
    from imagescope_agent.services import open_services, profile_of
    from imagescope_agent.settings import Settings
    from imagescope_agent.training_data.triplets import build_triplets

    services = open_services(args.profile or profile_of(args.collection), args.collection)
    settings = Settings.load(services.settings, **given(args, "seed", "budget", "token_budget"))
    report = asyncio.run(
        build_triplets(services, args.out, args.count, settings=settings, traces=args.traces, progress=show)
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(plain(str(report)))
    if report.kept < args.count:
        print(f"imagescope: the collection gives no more: {args.count} were wanted", file=sys.stderr)
    return 0


def show(report: Report) -> None:
    """The yield so far, on one line that is written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{plain(str(report))[:150]}", end="", file=sys.stderr, flush=True)

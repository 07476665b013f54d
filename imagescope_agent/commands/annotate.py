"""`imagescope annotate`: chains of thought for training triplets, written and checked by a collection's own models."""

from __future__ import annotations

import argparse
import asyncio
import sys

from imagescope_agent.commands import given, natural, path, plain
from imagescope_agent.commands.triplets import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "triplets", type=path, metavar="TRIPLETS", help="of `imagescope triplets`, CIRR, FashionIQ or LaSCo"
    )
    parser.add_argument(
        "--collection",
        type=path,
        required=True,
        metavar="COLLECTION",
        help="the indexed folder they are about",
    )
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help="the chains, JSON lines")
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.add_argument(
        "--budget", type=natural, metavar="CALLS", help="at most so many model calls a triplet"
    )
    parser.add_argument(
        "--token-budget",
        type=natural,
        metavar="TOKENS",
        help="at most so many tokens read and written a triplet",
    )
    parser.add_argument(
        "--traces", type=path, metavar="FILE", help="keep a trace of every triplet in this file"
    )


def run(args: argparse.Namespace) -> int:
    """Write the chains and say how many there are and why triplets have none."""
    from imagescope_agent.services import open_services, profile_of
    from imagescope_agent.settings import Settings
    from imagescope_agent.training_data.chains import annotate
    from imagescope_agent.training_data.triplet_files import read_triplets

    services = open_services(args.profile or profile_of(args.collection), args.collection)
    settings = Settings.load(services.settings, **given(args, "budget", "token_budget"))
    triplets = read_triplets(args.triplets, services.collection.ids)
    report = asyncio.run(
        annotate(services, triplets, args.out, settings=settings, traces=args.traces, progress=show)
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(plain(str(report)))
    return 0

"""`imagescope bench searches`: what concurrent searches gain from sharing batches."""

from __future__ import annotations

import argparse
from pathlib import Path

from imagescope_agent.commands import natural, positive, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--root", type=Path, help="drawn scenes (default: 64 are drawn and indexed first)")
    parser.add_argument("--profile", default="mini", help="which models (default: mini)")
    parser.add_argument("--searches", type=positive, default=16, metavar="N", help="how many (default: 16)")
    parser.add_argument("--seed", type=natural, default=0, help="of the drawn scenes (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from imagescope_agent.lab.benchmarks.searches import run as measure

    made = measure(root=args.root, profile=args.profile, searches=args.searches, seed=args.seed)
    if args.json:
        print_json(made)
    else:
        seconds = made["seconds"]
        print(f"{made['searches']} searches of {made['images']} images")
        print(f"one after another  {seconds['alone']:>8} s\nall at once        {seconds['together']:>8} s")
        print(
            f"{made['ratio']} times sooner, {made['same_rankings']} of {made['searches']} rankings the same"
        )
        print(", ".join(f"{name} {value}" for name, value in made["machine"].items() if value is not None))
    return 0

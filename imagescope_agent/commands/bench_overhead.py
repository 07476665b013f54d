"""`imagescope bench overhead`: what checkpoints and traces cost a search."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import natural, positive, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--profile", default="mini", help="whose models search (default: mini)")
    parser.add_argument("--count", type=positive, default=24, help="pictures, drawn (default: 24)")
    parser.add_argument("--repeats", type=positive, default=5, help="rounds of three queries (default: 5)")
    parser.add_argument("--seed", type=natural, default=0, help="of the pictures (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from imagescope_agent.lab.benchmarks.overhead import run as measure

    made = measure(profile=args.profile, count=args.count, repeats=args.repeats, seed=args.seed)
    if args.json:
        print_json(made)
        return 0
    print(f"{made['searches']} searches a variant")
    for name, row in made["variants"].items():
        print(f"{name:<12} {row['seconds']:>8} cpu s a search {row['bytes']:>10} bytes kept")
    for pair, ratio in made["ratios"].items():
        print(f"{pair.replace('/', ' : ')} = {ratio}")
    print(", ".join(f"{name} {value}" for name, value in made["machine"].items() if value is not None))
    return 0

"""`imagescope bench graphs`: what a query costs each graph, and what stopping early saves."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.commands import natural, positive, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--root", type=Path, help="drawn scenes (default: drawn and indexed first)")
    parser.add_argument("--profile", default="mini", help="which models (default: mini)")
    parser.add_argument("--images", type=positive, default=300, help="how many are drawn (default: 300)")
    parser.add_argument("--queries", type=positive, default=60, help="how many are asked (default: 60)")
    parser.add_argument("--seed", type=natural, default=0, help="of the drawn scenes (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from imagescope_agent.lab.benchmarks.graphs import run as measure

    names = ("root", "profile", "images", "queries", "seed")
    made = measure(**{name: getattr(args, name) for name in names})
    print_json(made) if args.json else print(describe(made))
    return 0


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as a Markdown table and a line for each ratio."""
    columns = ("right", "calls", "verdicts", "prompt_tokens", "completion_tokens", "image_prefills")
    lines = [
        f"{made['queries']} queries over {made['images']} images, each from empty caches; means a query",
        "",
    ]
    lines += [f"| graph | {' | '.join(name.replace('_', ' ') for name in columns)} |"]
    lines += ["|---|" + "---:|" * len(columns)]
    for name, row in made["variants"].items():
        lines.append(f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |")
    lines.append("")
    for name, row in made["ratios"].items():
        lines.append(
            f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items())
        )
    for name, row in made["early_stop"].items():
        lines.append(f"{name}: {row['saved']:.0%} of the verdicts saved, {row['same']:.0%} the same places")
    return "\n".join(lines)

"""`imagescope bench verify`: what sharing an image's prefix saves."""

from __future__ import annotations

import argparse
from typing import Any

from imagescope_agent.commands import natural, positive, print_json

COLUMNS = (
    *("seconds", "verdicts_per_second", "of_ceiling", "image_prefills", "tokens", "forwards", "unreadable"),
    "agreement",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--profile", default="mini", help="whose verifier is measured (default: mini)")
    parser.add_argument(
        "--random", choices=("8b", "tiny"), help="a made-up model of that size instead (8b: on a GPU)"
    )
    parser.add_argument("--candidates", type=positive, default=20, metavar="K", help="images (default: 20)")
    parser.add_argument(
        "--questions", type=positive, default=4, metavar="Q", help="about each image (default: 4)"
    )
    parser.add_argument("--repeats", type=positive, default=5, help="the fastest counts (default: 5)")
    parser.add_argument("--seed", type=natural, default=0, help="of images and questions (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from imagescope_agent.lab.benchmarks.verify import run as measure

    made = measure(
        profile=args.profile,
        random=args.random,
        candidates=args.candidates,
        questions=args.questions,
        repeats=args.repeats,
        seed=args.seed,
    )
    print_json(made) if args.json else print("\n".join(describe(made)))
    return 0


def describe(made: dict[str, Any]) -> list[str]:
    """Say what was measured in lines: the variants, how many times sooner, and on what machine.

    Args:
        made: of `benchmarks.verify.run`.
    """
    lines = [f"{made['candidates']} images x {made['questions']} questions, the fastest of {made['repeats']}"]
    lines.append(" ".join([f"{'':<22}", *(f"{name.replace('_', ' '):>19}" for name in COLUMNS)]))
    for name, row in made["variants"].items():
        cells = ["-" if row[column] is None else row[column] for column in COLUMNS]
        lines.append(" ".join([f"{name.replace('_', ' '):<22}", *(f"{cell:>19}" for cell in cells)]))
    lines += [
        f"{pair.replace('_', ' ').replace('/', ' : ')} = {ratio}" for pair, ratio in made["ratios"].items()
    ]
    lines.append(f"of ceiling: of {made['ceiling_gflops']} GFLOP/s, measured with a large matrix product")
    lines.append(", ".join(f"{name} {value}" for name, value in made["machine"].items() if value is not None))
    return lines

"""`imagescope bench turn`: a conversation's later turns beside its first, and beside verifying everything afresh."""

from __future__ import annotations

import argparse
from typing import Any

from imagescope_agent.commands import natural, positive, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--profile", default="mini", help="which models (default: mini)")
    parser.add_argument("--images", type=positive, default=100, help="how many are drawn (default: 100)")
    parser.add_argument("--dialogs", type=positive, default=10, help="how many are held (default: 10)")
    parser.add_argument("--turns", type=positive, default=4, help="of each dialog (default: 4)")
    parser.add_argument("--seed", type=natural, default=0, help="of pictures and dialogs (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from imagescope_agent.lab.benchmarks import turn

    names = ("profile", "images", "dialogs", "turns", "seed")
    measured = turn.run(**{name: getattr(args, name) for name in names})
    if args.json:
        print_json(measured)
    else:
        print("\n".join(describe(measured)))
    return 0


def describe(measured: dict[str, Any]) -> list[str]:
    """Say the measurement in lines."""
    lines = [f"{measured['dialogs']} dialogs, {measured['follow_ups']} later turns"]
    for name, row in measured["variants"].items():
        lines.append(
            f"{name:<10} {row['prompt_tokens']:>10.0f} prompt tokens {row['calls']:>7.1f} calls "
            f"{row['seconds']:>8.2f} s"
        )
    ratios = measured["ratios"]
    lines.append(
        f"a later turn reads {ratios['follow_up/first']:.0%} of a first turn's prompt tokens and "
        f"{ratios['follow_up/afresh']:.0%} of its own without reuse; "
        f"{ratios['same_ranking']:.1%} of the rankings are the same"
    )
    return lines

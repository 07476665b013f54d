"""`imagescope compare`: paired differences between runs of `imagescope eval`."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import natural, path, plain_lines, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "runs",
        type=path,
        nargs="+",
        metavar="RUN",
        help="a run's folder, or a folder of runs, one a seed; the first is the baseline",
    )
    parser.add_argument(
        "--measure", action="append", default=[], help="only this one, as R@1; may be repeated"
    )
    parser.add_argument("--stage", default="final", help="whose rankings (default: final)")
    parser.add_argument("--seed", type=natural, default=0, help="of resampling (default: 0)")
    parser.add_argument(
        "--form", choices=("markdown", "latex"), default="markdown", help="of the table (default: markdown)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Compare the runs query by query and print the differences with their intervals."""
    from imagescope_agent.evaluation.compare import compare, comparison_table

    comparison = compare(args.runs, stage=args.stage, seed=args.seed, measures=args.measure)
    if args.json:
        print_json(comparison)
    else:
        print(plain_lines(comparison_table(comparison, form=args.form)))
    return 0

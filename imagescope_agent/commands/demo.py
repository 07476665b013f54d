"""`imagescope demo`: everything once, on a drawn collection."""

from __future__ import annotations

import argparse
from pathlib import Path

from imagescope_agent.commands import path, plain, plain_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", type=path, default=Path("demo"), help="folder for the page (default: demo)")


def run(args: argparse.Namespace) -> int:
    """Run the demonstration and print how far the first right image rose."""
    from imagescope_agent.lab.demo.run import run_demo

    shown = run_demo(args.out, say=lambda line: print(plain_lines(line), flush=True))
    print("\nrank of the first right image    CLIP alone  ImageScope")
    for example in shown.examples:
        before, after = example.baseline.first_correct or "-", example.rows[-1].first_correct or "-"
        kind = f"{example.query.task}, {example.query.kind}"
        print(f"  {kind:<30} {before:>10}  {after:>10}   {plain(example.query.text)}")
    calls = sum(sum(example.usage["calls"].values()) for example in shown.examples)
    print(f"\n{shown.seconds:.0f} s, {calls} model calls")
    print(plain(f"page:    {shown.page}"))
    print(plain(f"picture: {shown.picture}"))
    return 0

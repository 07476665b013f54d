"""`imagescope demo`: everything once, on a drawn collection."""

from __future__ import annotations

import argparse
from pathlib import Path

from imagescope_agent.commands import plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the page (default: demo)")


def run(args: argparse.Namespace) -> int:
    """Run the demonstration and print how far the first right image rose."""
    from imagescope_agent.lab.demo.run import run_demo

    shown = run_demo(args.out, say=lambda line: print(line, flush=True))
    print("\nrank of the first right image    CLIP alone  ImageScope")
    for story in shown.stories:
        before, after = story.baseline.first_correct or "-", story.rows[-1].first_correct or "-"
        kind = f"{story.query.task}, {story.query.kind}"
        print(f"  {kind:<30} {before:>10}  {after:>10}   {plain(story.query.text)}")
    calls = sum(sum(story.usage["calls"].values()) for story in shown.stories)
    print(f"\n{shown.seconds:.0f} s, {calls} model calls\npage:    {shown.page}\npicture: {shown.picture}")
    return 0

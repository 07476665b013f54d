"""`imagescope demo`: everything once, on a drawn collection, or searches in the reader's own photos."""

from __future__ import annotations

import argparse
from pathlib import Path

from imagescope_agent.commands import path, plain, plain_lines, words
from imagescope_agent.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", type=path, default=Path("demo"), help="folder for the page (default: demo)")
    parser.add_argument(
        "--photos", type=path, metavar="FOLDER", help="search these pictures instead of drawn ones"
    )
    parser.add_argument(
        "--query",
        type=words,
        action="append",
        default=[],
        metavar="TEXT",
        help="with --photos: what to look for; repeatable (default: everyday things that stand out in the folder)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the demonstration and print what was found."""
    if args.query and args.photos is None:
        raise BadInput("--query needs --photos FOLDER; the drawn demonstration asks its own queries")
    return _drawn(args) if args.photos is None else _photos(args)


def _say(line: str) -> None:
    print(plain_lines(line), flush=True)


def _photos(args: argparse.Namespace) -> int:
    """Print the best pictures of each query."""
    from imagescope_agent.lab.demo.photos import run_photo_demo

    shown = run_photo_demo(args.photos, args.out, say=_say, queries=args.query)
    for result in shown.results:
        print("\n" + plain(result.query))
        for hit in result.results[:3]:
            print(plain(f"  {hit.rank}  {hit.path}"))
    print("\n" + plain(f"{shown.seconds:.0f} s; page: {shown.page}"))
    return 0


def _drawn(args: argparse.Namespace) -> int:
    """Print how far the first right image rose."""
    from imagescope_agent.lab.demo.run import run_demo

    shown = run_demo(args.out, say=_say)
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

"""`imagescope scenes make`: draw a collection with exact ground truth."""

from __future__ import annotations

import argparse
import shutil

from imagescope_agent.commands import natural, path, plain, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="make")
    make = actions.add_parser("make", help="draw a collection")
    make.add_argument("--seed", type=natural, default=0, help="decides every pixel and word (default: 0)")
    make.add_argument("--count", type=positive, default=1000, help="how many images (default: 1000)")
    make.add_argument("--out", type=path, required=True, help="folder for images/ and the .jsonl files")


def run(args: argparse.Namespace) -> int:
    """Draw the world."""
    from imagescope_agent.lab.scenes.make import make_world

    fresh = not args.out.exists()
    try:
        make_world(args.out, args.seed, args.count)
    except OSError:
        if fresh:  # half a world looks like a whole one
            shutil.rmtree(args.out, ignore_errors=True)
        raise
    print(plain(f"drew {args.count} images of seed {args.seed} in {args.out}"))
    return 0

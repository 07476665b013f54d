"""`imagescope scenes`: draw a collection, or training data, with exact ground truth."""

from __future__ import annotations

import argparse
import shutil

from imagescope_agent.commands import natural, path, plain, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="make|chains")
    make = actions.add_parser("make", help="draw a collection")
    make.add_argument("--seed", type=natural, default=0, help="decides every pixel and word (default: 0)")
    make.add_argument("--count", type=positive, default=1000, help="how many images (default: 1000)")
    make.add_argument("--out", type=path, required=True, help="folder for images/ and the .jsonl files")
    chains = actions.add_parser("chains", help="draw triplets with exact chains of thought, for training")
    chains.add_argument("--seed", type=natural, default=0, help="decides every pixel and word (default: 0)")
    chains.add_argument(
        "--groups", type=positive, default=1500, help="references with three queries (default: 1500)"
    )
    chains.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="PART",
        help="kinds of instruction, colours or things left out, as: comparison purple umbrella",
    )
    chains.add_argument("--side", type=positive, default=128, help="of an image, in pixels (default: 128)")
    chains.add_argument("--out", type=path, required=True, help="folder for images/ and the .jsonl files")


def run(args: argparse.Namespace) -> int:
    """Draw the world, or what to train on."""
    from imagescope_agent.lab.scenes.make import make_world
    from imagescope_agent.lab.training.data.drawn_chains import make_chains

    fresh = not args.out.exists()
    try:
        if args.action == "chains":
            count = make_chains(args.out, args.seed, args.groups, side=args.side, without=args.without)
        else:
            make_world(args.out, args.seed, count := args.count)
    except OSError:
        if fresh:  # half a world looks like a whole one
            shutil.rmtree(args.out, ignore_errors=True)
        raise
    print(plain(f"drew {count} images of seed {args.seed} in {args.out}"))
    return 0

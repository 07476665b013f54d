"""`imagescope add`: single files of an indexed folder into its index."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain, plain_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument("files", type=path, nargs="+", metavar="FILE", help="files in its folder")
    parser.add_argument(
        "--copy",
        action="store_true",
        help="copy files that lie elsewhere to the top of the folder; never over another one",
    )
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")


def run(args: argparse.Namespace) -> int:
    """Index the files and say what was done, a line each."""
    from imagescope_agent.ingest.files import add_files

    report, names = add_files(args.collection, args.files, copy=args.copy, profile=args.profile)
    for name in names:
        print(plain(f"+ {name}"))
    print(plain_lines(str(report)))
    return 0

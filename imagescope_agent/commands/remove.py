"""`imagescope remove`: single files out of an index."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain, plain_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument("files", type=path, nargs="+", metavar="FILE", help="ids, or files in its folder")
    parser.add_argument("--delete", action="store_true", help="delete the pictures too")
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")


def run(args: argparse.Namespace) -> int:
    """Take the files out of the index and say what was done, a line each."""
    from imagescope_agent.ingest.files import remove_files

    report, names = remove_files(args.collection, args.files, delete=args.delete, profile=args.profile)
    for name in names:
        print(plain(f"- {name}"))
    print(plain_lines(str(report)))
    return 0

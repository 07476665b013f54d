"""`imagescope add` and `imagescope remove`: single files into an index and out of it."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain, plain_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    adding = parser.prog.endswith(" add")
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument("files", type=path, nargs="+", metavar="FILE", help="files in its folder, or ids")
    if adding:
        parser.add_argument(
            "--copy",
            action="store_true",
            help="copy files that lie elsewhere to the top of the folder; never over another one",
        )
    else:
        parser.add_argument("--delete", action="store_true", help="delete the pictures too")
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.set_defaults(adding=adding)


def run(args: argparse.Namespace) -> int:
    """Change the index and say what was done, a line each."""
    from imagescope_agent.ingest.files import add_files, remove_files

    if args.adding:
        report, names = add_files(args.collection, args.files, copy=args.copy, profile=args.profile)
    else:
        report, names = remove_files(args.collection, args.files, delete=args.delete, profile=args.profile)
    for name in names:
        print(plain(f"{'+' if args.adding else '-'} {name}"))
    print(plain_lines(str(report)))
    return 0

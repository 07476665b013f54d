"""`imagescope index`: make a folder of images searchable."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain, words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", type=path, metavar="FOLDER", help="images, at any depth")
    parser.add_argument(
        "--profile",
        help="which models: a name of `imagescope profiles` or your own .toml file (default: the ones that made the "
        "index; in a new one mini for drawn scenes, photos for photos)",
    )
    parser.add_argument(
        "--change-profile",
        action="store_true",
        help="make an index of another profile anew; until it is done, searches find the old one",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        type=words,
        metavar="PATTERN",
        help="leave out files and folders as a .gitignore file does ('*.gif', 'drafts/', '2019/**/raw'); may be given "
        "several times; the index keeps the patterns until others are given, '' for none",
    )
    parser.add_argument("--out", type=path, help="where to keep the index (default: FOLDER/.imagescope)")


def run(args: argparse.Namespace) -> int:
    """Index the folder and say what was done and what was skipped."""
    from imagescope_agent.api import index_folder

    report = index_folder(
        args.folder,
        profile=args.profile,
        out=args.out,
        exclude=args.exclude,
        change_profile=args.change_profile,
    )
    for line in str(report).split("\n"):
        print(plain(line))
    return 0

"""`imagescope index`: make a folder of images searchable."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from imagescope_agent.commands import add_engine_arguments, path, plain, plain_lines, positive, words
from imagescope_agent.errors import BadInput

#: How files end that pictures are fetched from.
SOURCES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".txt")

CAPTIONS = ("all", "lazy", "none")
INDEX_KINDS = ("auto", "exact", "hnsw", "ivfpq", "pq4", "sq8")


def add_arguments(parser: argparse.ArgumentParser) -> None:  # over forty lines for one call an option
    """Declare the arguments."""
    parser.add_argument(
        "folder",
        type=_folder_or_source,
        metavar="FOLDER|SOURCE",
        help="images, at any depth; or an address (https://, s3://, ...), an archive (zip, tar) or a pattern of "
        "some ('s3://bucket/shard-*.tar'), or a .txt of addresses, whose pictures are fetched first (extra `remote`)",
    )
    _add_source_arguments(parser)
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
    parser.add_argument(
        "--captions",
        choices=CAPTIONS,
        help="which images get a caption: all now, those that searches reach (lazy), none; the rest are found by their "
        "pictures alone, and a later --captions all goes on (default: as the index was made; in a new one all)",
    )
    parser.add_argument(
        "--index",
        choices=INDEX_KINDS,
        help="how a search looks for the nearest vectors: exact compares all, hnsw and ivfpq some of them, pq4 and "
        "sq8 all by codes of 1 and 8 bits a number, and what they find is ranked exactly; auto is exact up to 200,000 "
        "images; how much they find is printed (default: as the index was made; in a new one auto)",
    )
    add_engine_arguments(parser, "files are read and models run")
    parser.add_argument("--out", type=path, help="where to keep the index (default: FOLDER/.imagescope)")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on and keep the index current until Ctrl-C: a line for each image that comes, goes or changes",
    )


def run(args: argparse.Namespace) -> int:
    """Index the folder and say what was done and what was skipped."""
    from imagescope_agent.api import index_folder

    if args.watch and args.engine != "local":
        raise BadInput("a folder is watched by this process; leave --engine out, or --watch")
    if isinstance(args.folder, str):
        args.folder = _fetched(args)
    elif args.into is not None:
        raise BadInput("--into is for pictures from elsewhere; leave it out")

    def index() -> None:
        report = index_folder(
            args.folder,
            profile=args.profile,
            out=args.out,
            exclude=args.exclude,
            change_profile=args.change_profile,
            captions=args.captions,
            index=args.index,
            engine=args.engine,
            address=args.address,
        )
        print(plain_lines(str(report)), flush=True)

    if args.watch:
        return _watch(args, index)
    index()
    return 0


def _add_source_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--into",
        type=path,
        metavar="DIR",
        help="where fetched pictures go (default: a folder here, named as the source)",
    )
    parser.add_argument(
        "--most-gb", type=positive, default=100, help="fetch at most so much in all (default: 100)"
    )


def _folder_or_source(text: str) -> Path | str:
    """An argument that names a folder of this machine, or (as text) a source that pictures are fetched from."""
    elsewhere = "://" in text or "::" in text or PurePosixPath(text).suffix.lower() in SOURCES
    return text if elsewhere and not os.path.isdir(text) else path(text)


def _fetched(args: argparse.Namespace) -> Path:
    """The folder with the pictures of a source."""
    from imagescope_agent.ingest.copying import Limits
    from imagescope_agent.ingest.sources import fetch, folder_for

    if args.watch:
        raise BadInput("a source is not watched; index it again from time to time")
    folder: Path = args.into or folder_for(args.folder)
    print(plain_lines(str(fetch(args.folder, folder, Limits(bytes=args.most_gb * 2**30)))), flush=True)
    return folder


def _watch(args: argparse.Namespace, index: Callable[[], None]) -> int:
    """Keep the index current until the process is told to stop, which is how it ends well."""
    from imagescope_agent.ingest.watch import watch

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def tell(line: str) -> None:
        print(plain(line), flush=True)

    signal.signal(signal.SIGTERM, stop)
    try:
        for _ in watch(args.folder, args.out, index, tell):
            args.exclude, args.change_profile = None, False  # the index keeps what was given
    except KeyboardInterrupt:
        tell("stopped; the index is whole")
    return 0

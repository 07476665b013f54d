"""`imagescope vectors`: vectors into an index, made or existing ones, and those of an index into files."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain, plain_lines
from imagescope_agent.commands.index import CAPTIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="WHAT")
    about = "a folder of clip-retrieval, or vectors.npy with ids.txt"
    bring = actions.add_parser("import", help=about, description=f"index with vectors that exist: {about}")
    bring.add_argument("collection", type=path, metavar="FOLDER", help="the images, indexed or not")
    bring.add_argument("source", type=path, metavar="VECTORS", help=about)
    bring.add_argument(
        "--space",
        metavar="NAME",
        help="a space of their own (default: those that the profile's embedder would make)",
    )
    bring.add_argument(
        "--embedder",
        metavar="KIND:PLACE",
        help="what made the vectors of that space, so that queries can be embedded for it",
    )
    bring.add_argument("--profile", help="which models (default: as in `imagescope index`)")
    bring.add_argument(
        "--captions",
        choices=CAPTIONS,
        help="as in `imagescope index` (default: as the index was made; in a new one lazy)",
    )
    make = actions.add_parser(
        "make", help="a further space, by an embedder of its own", description="embed the images once more"
    )
    make.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    make.add_argument("space", metavar="NAME", help="of the space; it is replaced where it is there")
    make.add_argument("--embedder", required=True, metavar="KIND:PLACE", help="what makes its vectors")
    make.add_argument("--profile", help="whose store (default: the one that made the index)")
    write = actions.add_parser(
        "export", help="the vectors of an index as files", description="write vectors to files"
    )
    write.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    write.add_argument("out", type=path, metavar="DIR", help="a new folder")
    write.add_argument("--space", default="image", help="which vectors (default: image)")
    write.add_argument("--format", choices=("npy", "clip-retrieval"), default="npy", help="(default: npy)")


def run(args: argparse.Namespace) -> int:
    """Import, make or export, and say what was done."""
    from imagescope_agent.errors import BadInput
    from imagescope_agent.ingest.vectors import export_vectors, import_space, import_vectors

    if args.action == "make":
        return _make(args)
    if args.action == "export":
        count = export_vectors(args.collection, args.out, space=args.space, form=args.format)
        print(plain(f"{count} vectors of the space {args.space!r} written to {args.out}"))
        return 0
    if args.space is None:
        if args.embedder is not None:
            raise BadInput("--embedder is for --space; the main vectors are those of the profile's embedder")
        done, report = import_vectors(
            args.collection, args.source, profile=args.profile, captions=args.captions
        )
        print(plain_lines(str(report)))
    else:
        if args.captions is not None:
            raise BadInput("--captions is for the main vectors; a space of its own has none")
        done = import_space(args.collection, args.source, args.space, embedder=args.embedder)
    print(f"{done.used} vectors imported, {done.foreign} of no image here")
    return 0


def _make(args: argparse.Namespace) -> int:
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.retrieval.embedders import open_embedder
    from imagescope_agent.retrieval.spaces import add_space
    from imagescope_agent.services import profile_of

    profile = load_profile(args.profile or profile_of(args.collection))
    space = add_space(args.collection, args.space, open_embedder(args.embedder), store=profile.store)
    print(plain(f"the space {space.name!r}: {space.dimension} numbers an image"))
    return 0

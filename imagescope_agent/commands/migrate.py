"""`imagescope migrate`: move an index to another vector store."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain
from imagescope_agent.commands.index import INDEX_KINDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="an indexed folder, or its index")
    parser.add_argument(
        "--store",
        required=True,
        metavar="STORE",
        help="where to: faiss, milvus, milvus:FILE.db, milvus:http://HOST:PORT, pgvector:postgresql://..., or "
        "module:attribute of another package; milvus without a place is a file beside the index",
    )
    parser.add_argument(
        "--index",
        choices=INDEX_KINDS,
        help="how nearest vectors are looked for there (default: as the index has it)",
    )
    parser.add_argument("--profile", help="your profile, where it names the store that the index is in now")


def run(args: argparse.Namespace) -> int:
    """Move the index and say what was moved."""
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.retrieval.index.manifest import DEFAULT_STORE
    from imagescope_agent.retrieval.index.migration import migrate
    from imagescope_agent.retrieval.stores import VARIABLE

    store = load_profile(args.profile).store if args.profile else DEFAULT_STORE
    done = migrate(
        args.collection, args.store, store=store, index=args.index, tell=lambda line: print(plain(line))
    )
    print(plain(f"{done.images} images in {done.spaces} spaces moved from {done.before} to {done.after}"))
    if done.after != DEFAULT_STORE:
        print(
            f"searches find it where your profile says store = ..., or {VARIABLE} does, as you named it here"
        )
    return 0

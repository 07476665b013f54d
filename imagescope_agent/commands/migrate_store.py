"""`imagescope migrate-store`: conversations, searches and traces of a collection into a database."""

from __future__ import annotations

import argparse
import asyncio

from imagescope_agent.commands import path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="an indexed folder, or its index")
    parser.add_argument(
        "--store", required=True, metavar="URL", help="where to: postgresql://USER@HOST/DATABASE"
    )
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")


def run(args: argparse.Namespace) -> int:
    """Move them and say how many."""
    from imagescope_agent.chat.store_migration import migrate_store
    from imagescope_agent.services import open_services, profile_of

    services = open_services(args.profile or profile_of(args.collection), args.collection)
    moved = asyncio.run(migrate_store(services, args.store))
    print(
        f"{moved.conversations} conversations, {moved.runs} searches and {moved.traces} traces moved; the files stay"
    )
    if moved.kept:
        print(f"{moved.kept} were not: the database has others of their names, or they were moved before")
    for name in moved.shared:
        print(
            f"all that the file of {name} keeps belongs to this collection there, whichever collection it was of"
        )
    print("`imagescope serve COLLECTION --store URL` goes on with them")
    return 0

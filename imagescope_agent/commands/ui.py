"""`imagescope ui`: the conversation as a web page on this machine."""

from __future__ import annotations

import argparse
import asyncio
import os
from dataclasses import replace

from imagescope_agent.commands import TURN_SETTINGS, add_turn_arguments, given, path, port

VERIFIED = 20  # results a turn where nothing else is set: as many as are verified; the page shows them little by little


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument(
        "--port", type=port, default=7860, help="of the page (default: 7860; 0: any that is free)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: this machine only); others need IMAGESCOPE_PASSWORD or --users",
    )
    parser.add_argument(
        "--users",
        type=path,
        metavar="FILE",
        help="who may sign in, a line name:password each; every user sees their own conversations in any browser",
    )
    parser.add_argument(
        "--store", metavar="FILE|URL", help="where conversations are kept, as in `imagescope chat`"
    )
    add_turn_arguments(parser, k=VERIFIED)


def announce(address: str) -> None:
    """Print where the page is."""
    print(f"{address}  (stop with Ctrl-C)", flush=True)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from imagescope_agent.chat import open_chats
    from imagescope_agent.chat.access_control import read_users
    from imagescope_agent.chat.server import PASSWORD_VARIABLE, check_address, serve
    from imagescope_agent.services import open_services, profile_of

    password = read_users(args.users) if args.users else os.environ.get(PASSWORD_VARIABLE) or None
    check_address(args.host, password)
    services = open_services(args.profile or profile_of(args.collection), args.collection)
    services = replace(services, settings={"k": VERIFIED, **services.settings})

    async def serving() -> None:
        async with open_chats(services, store=args.store, **given(args, *TURN_SETTINGS)) as chats:
            await serve(chats, host=args.host, port=args.port, password=password, listening=announce)

    asyncio.run(serving())
    return 0

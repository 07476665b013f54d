"""`imagescope ui`: the conversation as a web page on this machine."""

from __future__ import annotations

import argparse
import asyncio
import os

from imagescope_agent.commands import TURN_SETTINGS, add_turn_arguments, given, path, port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument("--port", type=port, default=7860, help="of the page (default: 7860)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: this machine only); others need IMAGESCOPE_PASSWORD",
    )
    parser.add_argument(
        "--store", metavar="FILE|URL", help="where conversations are kept, as in `imagescope chat`"
    )
    add_turn_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from imagescope_agent.chat import open_chats
    from imagescope_agent.chat.server import PASSWORD_VARIABLE, check_address, serve
    from imagescope_agent.services import open_services, profile_of

    password = os.environ.get(PASSWORD_VARIABLE) or None
    check_address(args.host, password)
    services = open_services(args.profile or profile_of(args.collection), args.collection)

    async def serving() -> None:
        async with open_chats(services, store=args.store, **given(args, *TURN_SETTINGS)) as chats:
            print(f"http://{args.host}:{args.port}  (stop with Ctrl-C)", flush=True)
            await serve(chats, host=args.host, port=args.port, password=password)

    asyncio.run(serving())
    return 0

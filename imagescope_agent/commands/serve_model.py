"""`imagescope serve-model`: a model of a profile for other machines, as OpenAI-compatible servers offer one."""

from __future__ import annotations

import argparse
import asyncio
import os

from imagescope_agent.commands import natural, port, positive, words
from imagescope_agent.commands.serve import KEY_VARIABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("profile", metavar="PROFILE", help="whose model (see `imagescope profiles`)")
    parser.add_argument("role", metavar="ROLE", help="captioner, reasoner, talker, verifier, judge, ...")
    parser.add_argument("--name", type=words, help="of the model (default: that of its checkpoint)")
    parser.add_argument("--port", type=port, default=8001, help="(default: 8001)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"address to listen on (default: this machine only); others need {KEY_VARIABLE}",
    )
    parser.add_argument(
        "--running",
        type=positive,
        default=64,
        help="requests that the model is asked at a time (default: 64)",
    )
    parser.add_argument("--waiting", type=natural, default=256, help="requests that may wait (default: 256)")
    parser.add_argument(
        "--timeout", type=positive, default=300, help="seconds that a request may take (default: 300)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from imagescope_agent.errors import MissingExtra

    try:
        from imagescope_agent.service.app import listen
        from imagescope_agent.service.hosted.app import create_model_app
        from imagescope_agent.service.hosted.model import open_hosted
        from imagescope_agent.service.keys import check_address
    except ImportError as error:
        raise MissingExtra("serving needs an extra: pip install 'imagescope-agent[serve]'") from error
    key = os.environ.get(KEY_VARIABLE, "")
    check_address(args.host, {args.role: key}, variable=KEY_VARIABLE)
    hosted = open_hosted(
        args.profile,
        args.role,
        name=args.name or "",
        key=key,
        running=args.running,
        waiting=args.waiting,
        timeout=args.timeout,
    )

    def ready(address: str) -> None:
        base = address.removesuffix("/docs")
        print(f"{base}/v1  {hosted.name}  (stop with Ctrl-C)", flush=True)

    async def serve() -> None:
        await hosted.warm_up()
        await listen(create_model_app(hosted, host=args.host), host=args.host, port=args.port, ready=ready)

    asyncio.run(serve())
    return 0

"""`imagescope serve-model`: a model of a profile for other machines, as OpenAI-compatible servers offer one."""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

from imagescope_agent.commands import add_engine_arguments, natural, port, positive, words
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
    add_engine_arguments(parser, "the model runs")
    parser.add_argument(
        "--replicas",
        type=positive,
        help="with --engine ray, how many models behind the address (default: one a GPU, without any one a core)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from imagescope_agent.cluster.connection import require_engine
    from imagescope_agent.errors import BadInput, MissingExtra

    try:
        from imagescope_agent.profiles.profile import load_profile
        from imagescope_agent.service.hosted.model import host_model
        from imagescope_agent.service.keys import check_address
    except ImportError as error:
        raise MissingExtra("serving needs an extra: pip install 'imagescope-agent[serve]'") from error
    require_engine(args.engine, args.address)
    if args.engine == "local" and args.replicas is not None:
        raise BadInput("--replicas are of a Ray cluster; add --engine ray")
    key = os.environ.get(KEY_VARIABLE, "")
    check_address(args.host, {args.role: key}, variable=KEY_VARIABLE)
    limits = {name: getattr(args, name) for name in ("running", "waiting", "timeout")}
    limits |= {"name": args.name or "", "key": key}
    profile = load_profile(args.profile)
    hosted = host_model(profile, args.role, **limits)
    if args.engine == "ray":
        _on_cluster(args, hosted, profile, limits)
    else:
        asyncio.run(_here(args, hosted))
    return 0


async def _here(args: argparse.Namespace, hosted: Any) -> None:
    from imagescope_agent.service.app import listen
    from imagescope_agent.service.hosted.app import create_model_app

    def ready(address: str) -> None:
        _announce(address.removesuffix("/docs"), hosted.name)

    await hosted.warm_up()
    await listen(create_model_app(hosted, host=args.host), host=args.host, port=args.port, ready=ready)


def _on_cluster(args: argparse.Namespace, hosted: Any, profile: Any, limits: dict[str, Any]) -> None:
    from imagescope_agent.service.hosted.on_ray import Replica, serve_on_ray

    def ready(address: str, count: int) -> None:
        _announce(address, f"{hosted.name}, {count} {'replica' if count == 1 else 'replicas'}")

    weights = hosted.model.weights
    replica = Replica(profile=profile, role=args.role, limits=limits, weights=weights, host=args.host)
    where = {"address": args.address, "replicas": args.replicas, "port": args.port}
    serve_on_ray(hosted, replica, ready=ready, **where)


def _announce(base: str, what: str) -> None:
    print(f"{base}/v1  {what}  (stop with Ctrl-C)", flush=True)

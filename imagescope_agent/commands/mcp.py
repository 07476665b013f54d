"""`imagescope mcp`: a collection as a Model Context Protocol server for agents."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import given, path, port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument("--graph", help="which system (see `imagescope graphs`; default: the profile's own)")
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.add_argument(
        "--http", type=port, metavar="PORT", help="serve streamable HTTP on this machine (default: stdio)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the client leaves, or Ctrl-C."""
    from imagescope_agent.api import ImageScope
    from imagescope_agent.errors import MissingExtra

    try:
        from imagescope_agent.integrations.mcp import make_server
    except ImportError as error:
        raise MissingExtra("an MCP server needs an extra: pip install 'imagescope-agent[mcp]'") from error
    server = make_server(ImageScope.open(args.collection, graph=args.graph, **given(args, "profile")))
    if args.http is None:
        server.run()
    else:
        server.run("streamable-http", host="127.0.0.1", port=args.http)
    return 0

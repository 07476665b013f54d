"""`imagescope serve`: search, conversations and reranking over HTTP."""

from __future__ import annotations

import argparse
import asyncio
import os

from imagescope_agent.commands import natural, path, port, positive

KEY_VARIABLE = "IMAGESCOPE_API_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "collections", type=path, nargs="+", metavar="COLLECTION", help="folders that were indexed"
    )
    parser.add_argument("--port", type=port, default=8000, help="(default: 8000)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"address to listen on (default: this machine only); others need {KEY_VARIABLE} or --keys",
    )
    parser.add_argument(
        "--keys", type=path, metavar="FILE", help='TOML file of an API key for each collection: name = "key"'
    )
    parser.add_argument("--profile", help="which models (default: the ones that made each index)")
    parser.add_argument(
        "--store",
        metavar="FILE|URL",
        help="where conversations are kept, as in `imagescope chat`; in postgresql://... searches and traces, too, "
        "for several services at once",
    )
    parser.add_argument(
        "--running", type=positive, default=2, help="requests that ask models at a time (default: 2)"
    )
    parser.add_argument("--waiting", type=natural, default=64, help="requests that may wait (default: 64)")
    parser.add_argument(
        "--timeout", type=positive, default=300, help="seconds that a request may take (default: 300)"
    )
    parser.add_argument(
        "--ui",
        action="store_true",
        help="the page of `imagescope ui` too, under /ui/NAME; a collection's key is its password",
    )


def _shared_files(store: str | None) -> list[str]:
    """The variables that name one file for searches or traces of all collections; a database takes these by itself.

    Args:
        store: where conversations are kept; searches and traces go there, too, where it is a database.
    """
    from imagescope_agent.api import RUNS_VARIABLE
    from imagescope_agent.runs.checkpoints import POSTGRES
    from imagescope_agent.traces.store import VARIABLE as TRACES_VARIABLE

    names = (RUNS_VARIABLE, TRACES_VARIABLE)
    # in a database each collection has names of its own
    files = [name for name in names if os.environ.get(name) and not os.environ[name].startswith(POSTGRES)]
    if store and store.startswith(POSTGRES):
        for name in names:
            os.environ.setdefault(name, store)
    return files


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from imagescope_agent.errors import BadInput, MissingExtra

    try:
        from imagescope_agent.service.app import create_app, listen
        from imagescope_agent.service.collections import ServedCollection, served_name
        from imagescope_agent.service.keys import check_address, check_separate, read_keys
        from imagescope_agent.service.page import place_of
    except ImportError as error:
        raise MissingExtra("serving needs an extra: pip install 'imagescope-agent[serve]'") from error
    folders = {served_name(folder): folder for folder in args.collections}
    if len(folders) < len(args.collections):
        raise BadInput("two of the folders have the same name; rename one of them")
    keys = read_keys(args.keys, os.environ.get(KEY_VARIABLE, ""), folders)
    check_address(args.host, keys, variable=KEY_VARIABLE)
    check_separate(keys, _shared_files(args.store))
    served = [
        ServedCollection.open(folder, profile=args.profile, key=keys[name])
        for name, folder in folders.items()
    ]
    app = create_app(
        served,
        host=args.host,
        running=args.running,
        waiting=args.waiting,
        timeout=args.timeout,
        chats=args.store,
        ui=args.ui,
    )

    def ready(address: str) -> None:
        print(f"{address}  (stop with Ctrl-C)", flush=True)
        for name in folders if args.ui else ():
            print(address.removesuffix("/docs") + place_of(name) + "/", flush=True)

    asyncio.run(listen(app, host=args.host, port=args.port, ready=ready))
    return 0

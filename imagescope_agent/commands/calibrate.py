"""`imagescope calibrate`: refit how probable it is that a first place fulfils its query, on your own judged queries."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain, plain_lines, print_json

EXAMPLE = '{"text": "a red car", "relevant": ["cars/7.jpg"]}'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument(
        "--queries", type=path, required=True, metavar="FILE",
        help=f"JSON lines as {EXAMPLE}: all images that fulfil it, [] where none does; `image` is a reference",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=path, required=True, metavar="FILE",
        help='the calibration, which a profile names: fulfilment = "FILE"',
    )  # fmt: skip
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.add_argument("--graph", help="which system (default: the profile's own)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Search every query, fit, write, and print how the fit does on the same queries."""
    from imagescope_agent.evaluation.calibration import calibrate, table

    made = calibrate(args.collection, args.queries, args.out, profile=args.profile, graph=args.graph)
    if args.json:
        print_json(made)
        return 0
    print(plain_lines(table({"fitted on": made["measured"]})))
    print(
        plain(f"on the queries it was fitted on, so too good; {made['left_out']} left out, nothing verified")
    )
    print(plain(f'{args.out}: name it in a profile, as fulfilment = "{args.out}"'))
    return 0

"""`imagescope doctor`: does this machine serve a profile."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import plain, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--profile", default="mini", help="what to check (default: mini)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Check and print the findings; the exit code is that of the first failure."""
    from imagescope_agent.doctor.checks import check

    report = check(args.profile)
    if args.json:
        print_json(report.to_dict())
    else:
        print("\n".join(plain(line) for line in report.table().splitlines()))
    return report.exit_code

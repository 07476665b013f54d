"""`imagescope bench`: measurements made side by side in one run, an entry of `benches.BENCHES` and a module each.

A module of `lab.benchmarks` has `run(**arguments) -> measurement` and `describe(measurement) -> text`; one whose bench
takes `--out` has `write(measurement, folder)` too.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from imagescope_agent.commands import plain, print_json
from imagescope_agent.commands.benches import BENCHES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of every benchmark."""
    benches = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    for name, bench in BENCHES.items():
        added = benches.add_parser(name, help=bench.summary, description=bench.summary)
        names = [added.add_argument(flag, **keywords).dest for flag, keywords in bench.arguments.items()]
        added.add_argument("--json", action="store_true", help="print one JSON document")
        added.set_defaults(names=names)


def run(args: argparse.Namespace) -> int:
    """Run one benchmark, print the measurement, and write it where that was asked for."""
    module: Any = importlib.import_module(f"imagescope_agent.lab.benchmarks.{args.bench.replace('-', '_')}")
    arguments = {name: getattr(args, name) for name in args.names}
    out = arguments.pop("out", None)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # an unusable one is told before anything is measured
    measured = module.run(**arguments)
    if out is not None:
        module.write(measured, out)
    if args.json:
        print_json(measured)
    else:
        print("\n".join(map(plain, module.describe(measured).splitlines())))
    return 0

"""`imagescope bench judges`: what accuracy costs, for every judge strategy."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from imagescope_agent.commands import natural, positive, print_json
from imagescope_agent.errors import BadInput

COSTS = {"calls": "calls a query", "prompt_tokens": "prompt tokens a query", "seconds": "seconds a query"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--profile", default="mini", help="whose judge is asked (default: mini)")
    parser.add_argument("-k", type=positive, action="append", help="candidates (default: 10)")
    parser.add_argument("--queries", type=positive, default=20, help="drawn queries (default: 20)")
    parser.add_argument("--judge", action="append", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--budget", type=natural, metavar="CALLS", help="at most so many calls a query")
    parser.add_argument("--seed", type=natural, default=0, help="of scenes and orders (default: 0)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write the table, the plot and the figures here"
    )
    parser.add_argument(
        "--simulated",
        action="store_true",
        help="ask a noisy simulated judge instead of a model, with 10, 20 and 50 candidates",
    )
    parser.add_argument(
        "--trials", type=positive, default=20, help="random orders a simulated case (default: 20)"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, and write it where it was asked for."""
    made, text, panels, axes = _simulated(args) if args.simulated else _drawn(args)
    if args.out is not None:
        _write(args.out, "judges-simulated" if args.simulated else "judges", made, text, panels, axes)
    print_json(made) if args.json else print(text)
    return 0


Measured = tuple[dict[str, Any], str, dict[str, Any], tuple[str, str]]


def _drawn(args: argparse.Namespace) -> Measured:
    from imagescope_agent.lab.benchmarks import judges

    if len(args.k or []) > 1:
        raise BadInput("drawn queries are judged with one number of candidates: give -k once, or --simulated")
    made = judges.run(
        profile=args.profile,
        k=(args.k or [10])[0],
        queries=args.queries,
        seed=args.seed,
        names=args.judge,
        budget=args.budget,
    )
    panels = {title: judges.points(made, cost) for cost, title in COSTS.items()}
    return made, judges.table(made), panels, ("", "share of queries whose first is right")


def _simulated(args: argparse.Namespace) -> Measured:
    from imagescope_agent.lab.benchmarks import judge_study as study

    made = study.run(sizes=args.k or study.SIZES, trials=args.trials, seed=args.seed, names=args.judge)
    panels = {f"k = {size}": study.points(made, size) for size in args.k or study.SIZES}
    return made, study.tables(made), panels, ("calls", "nDCG@10, mean over kinds of noise")


def _write(
    out: Path, name: str, made: dict[str, Any], text: str, panels: dict[str, Any], axes: tuple[str, str]
) -> None:
    from imagescope_agent.lab.benchmarks.frontier import plot

    out.mkdir(parents=True, exist_ok=True)
    plot(panels, out / f"{name}.png", cost=axes[0], quality=axes[1])
    head = "# Judge strategies: what accuracy costs\n\n" + f"![the frontier]({name}.png)\n\n"
    (out / f"{name}.md").write_text(head + text, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")

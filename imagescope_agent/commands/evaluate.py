"""`imagescope eval`: evaluate a graph on a data set."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from imagescope_agent.commands import (
    add_engine_arguments,
    fraction,
    natural,
    path,
    plain,
    plain_lines,
    positive,
    print_json,
)
from imagescope_agent.errors import BadInput

DEGRADED = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="scenes, chat (dialogs held by several systems), or another data set with its files at --root",
    )
    parser.add_argument("--root", type=path, help="where the data set lies")
    parser.add_argument("--split", help="which split (default: the data set's first)")
    parser.add_argument("--graph", default="imagescope", help="which system (see `imagescope graphs`)")
    parser.add_argument("--judge", help="how the best candidates are compared (see `imagescope judges`)")
    parser.add_argument(
        "--players",
        metavar="NAMES",
        help="chat only: some of clip,imagescope,given,ours,random,cir_cot (default: all but the last)",
    )
    parser.add_argument(
        "--pool",
        type=path,
        nargs="+",
        metavar="RUN",
        help="chat only: play nothing, put finished runs of several seeds together (all or some --players)",
    )
    parser.add_argument("--profile", default="mini", help="which models (see `imagescope profiles`)")
    parser.add_argument("--limit", type=positive, help="draw so many queries; the gallery stays whole")
    parser.add_argument("--seed", type=natural, default=0, help="of the run and of the draw (default: 0)")
    parser.add_argument(
        "--out", type=path, help="folder of this run; the same command goes on where it stopped"
    )
    parser.add_argument(
        "--max-degraded", type=fraction, metavar="SHARE", help="exit 4 above this share of queries"
    )
    parser.add_argument(
        "--check", action="store_true", help="say which files are expected, and do nothing else"
    )
    add_engine_arguments(parser, "queries are answered")
    parser.add_argument("--json", action="store_true", help="print metrics.json instead of a table")


def run(args: argparse.Namespace) -> int:
    """Run the evaluation and print its table."""
    if args.pool and (args.dataset != "chat" or args.check):
        raise BadInput(
            "--pool puts runs of `imagescope eval chat` together; `imagescope compare` pools other runs"
        )
    if args.root is None and not args.pool:
        raise BadInput("where does the data set lie? give --root DIR")
    if args.check:
        return _check(args)
    if args.out is None:
        raise BadInput("where should the run be kept? give --out DIR")
    _announce(args)
    if args.dataset == "chat":
        if args.engine != "local":
            raise BadInput("dialogs with systems are held in this process; leave --engine out")
        return _chat(args)
    from imagescope_agent.evaluation.evaluate import evaluate
    from imagescope_agent.evaluation.reporting.tables import markdown

    names = ("root", "out", "split", "graph", "judge", "profile", "limit", "seed", "engine", "address")
    tell = lambda line: print(plain(line), file=sys.stderr)  # noqa: E731
    metrics = evaluate(args.dataset, **{name: getattr(args, name) for name in names}, tell=tell)
    if args.json:
        print_json(metrics)
    else:
        print(plain_lines(markdown(metrics)))
        print(plain(f"report: {args.out / 'report.html'}"))
    return 0 if args.max_degraded is None or share_degraded(metrics) <= args.max_degraded else DEGRADED


def share_degraded(metrics: dict[str, Any]) -> float:
    """The share of queries that failed or whose answer was degraded, 0 to 1."""
    return float(metrics["failed"] + metrics["degraded"]) / max(1, int(metrics["queries"]))


def _announce(args: argparse.Namespace) -> None:
    """Say that scenes are about to be drawn where there are none: the folder may be a misspelt one."""
    from imagescope_agent.evaluation.datasets import scenes

    if args.dataset not in ("scenes", "chat") or args.pool:
        return
    scenes.required_files(
        args.root, split=args.split if args.dataset == "scenes" else None
    )  # an unknown split is told first
    if scenes.will_draw(args.root):
        print(
            f"imagescope: nothing is drawn in {str(args.root)!r} yet: drawing {scenes.COUNT} scenes there "
            f"(seed {args.seed}), as `imagescope scenes make` does",
            file=sys.stderr,
        )


def _chat(args: argparse.Namespace) -> int:
    from imagescope_agent.evaluation.chat.benchmark import evaluate_chat, markdown, pool_runs

    given: dict[str, Any] = {"players": args.players.split(",")} if args.players else {}
    given |= {"judge": args.judge} if args.judge and not args.pool else {}
    names = ("root", "out", "profile", "limit", "seed")
    if args.pool:
        found = pool_runs(args.pool, args.out, seed=args.seed, **given)
    else:
        found = evaluate_chat(**{name: getattr(args, name) for name in names}, **given)
    if args.json:
        print_json(found)
    else:
        print(plain_lines(markdown(found)))
        print(plain(f"plot: {args.out / 'chat.svg'}"))
    return 0


def _check(args: argparse.Namespace) -> int:
    from imagescope_agent.evaluation.check import check_data_set

    checked = check_data_set(args.dataset, args.root, split=args.split)
    for line in checked.lines:
        print(plain(line))
    return 0 if checked.complete else BadInput.exit_code

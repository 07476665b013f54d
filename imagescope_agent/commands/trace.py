"""`imagescope trace`: what a run did, why its ranking is what it is, and what it cost."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imagescope_agent.commands import path, plain, print_json
from imagescope_agent.commands.describe import describe_cost
from imagescope_agent.common.atomic_write import write_output
from imagescope_agent.errors import BadInput
from imagescope_agent.usage import sum_usage

if TYPE_CHECKING:
    from imagescope_agent.traces.trace import Trace

SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("which", nargs="?", metavar="RUN", help="a run, as `search --json` names it")
    parser.add_argument("--last", action="store_true", help="the newest run")
    parser.add_argument("--html", type=path, metavar="FILE", help="write a self-contained page")
    parser.add_argument("--compare", metavar="OTHER", help="what moved since the run OTHER, and why")
    parser.add_argument("--why", nargs=2, metavar=("A", "B"), help="why image A stands above image B")
    parser.add_argument(
        "--store",
        type=_place,
        metavar="FILE|URL",
        help="an indexed folder, a file of traces, or postgresql://... (default: the last)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _place(text: str) -> Path | str:
    """An argument that names a file, a folder, or a database."""
    from imagescope_agent.runs.checkpoints import POSTGRES

    return text if text.startswith(POSTGRES) else path(text)


def run(args: argparse.Namespace) -> int:
    """Show a run; list the newest ones when none is named."""
    from imagescope_agent.runs.checkpoints import reading
    from imagescope_agent.traces.finding import find_run
    from imagescope_agent.traces.trace import Trace

    if args.which is None and not args.last:
        if args.html or args.why or args.compare:
            raise BadInput("name a run, or give --last")
        return _list(args)
    if args.which is not None and args.last:
        raise BadInput("name a run or give --last, not both")
    if args.compare and args.why:
        raise BadInput("give --compare or --why, not both")
    trace = Trace(*find_run(args.which, args.store))
    other = Trace(*find_run(args.compare, args.store)) if args.compare else None
    with reading(trace.head["store"]):
        return _show(args, trace, other)


def _show(args: argparse.Namespace, trace: Trace, other: Trace | None) -> int:
    from imagescope_agent.traces.compare import Comparison
    from imagescope_agent.traces.explain import explain
    from imagescope_agent.traces.trace import Trace

    shown = trace if other is None else Comparison(other, trace)
    if args.html:
        from imagescope_agent.traces.pages.page import render, render_comparison

        page = render(shown) if isinstance(shown, Trace) else render_comparison(shown)
        args.html.parent.mkdir(parents=True, exist_ok=True)
        write_output(args.html, page.encode("utf-8", "replace"))
    if args.json:
        print_json(shown.to_dict())
        return 0
    if isinstance(shown, Comparison):
        lines = shown.text.split("\n")
    else:
        lines = list(explain(trace, *args.why).sentences) if args.why else describe(trace)
    print("\n".join(plain(line) for line in lines))
    if args.html:
        print(plain(f"page: {args.html}"))
    return 0


def describe(trace: Trace) -> list[str]:
    """A trace in lines: the run, its notes, its steps with their calls, the rankings, the cost."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trace.head["started"]))
    lines = [f"run {trace.id}  {started}  {trace.head['graph']}  {trace.status}", f"query: {trace.query}"]
    lines += [f"only where: {trace.where}"] if trace.where else []
    lines += [f"error: {trace.error}"] if trace.error else []
    lines += [f"note: {note['step']}: {note['detail']}" for note in trace.notes]
    for step in trace.steps:
        seconds = "cut off" if step.ended is None else f"{step.ended - step.started:8.3f} s"
        calls = [call for call in trace.calls if call.span == step.number]
        spent = sum_usage(call.usage for call in calls)
        again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
        cost = f"  {spent.calls} calls, {spent.tokens} tokens" if calls else ""
        lines.append(f"  {step.node + again:<22} {seconds}{cost}{'  ' + step.error if step.error else ''}")
    for node, ranking in trace.stages:
        more = f" and {len(ranking) - SHOWN} more" if len(ranking) > SHOWN else ""
        lines.append(f"ranking after {node}: {', '.join(ranking[:SHOWN])}{more}")
    return [*lines, describe_cost(trace.usage)]


def _list(args: argparse.Namespace) -> int:
    from contextlib import closing
    from dataclasses import asdict

    from imagescope_agent.traces.finding import default_place, open_existing

    with closing(open_existing(args.store or default_place())) as store:
        listed = store.runs()
        if args.json:
            print_json({"store": str(store.path), "runs": [asdict(each) for each in listed]})
            return 0
        print(plain(f"traces in {store.path}"))
    for each in listed:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.started))
        print(plain(f"  {each.id}  {when}  {each.graph}  {each.status}  {each.query}"))
    return 0

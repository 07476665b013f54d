"""`imagescope score`: the metrics of a given run or submission file; no model is loaded."""

from __future__ import annotations

import argparse

from imagescope_agent.commands import path, plain_lines, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="as in `imagescope eval`")
    parser.add_argument(
        "--root", type=path, required=True, help="where the data set lies; images are not needed"
    )
    parser.add_argument("--split", help="the split that the run was made for")
    parser.add_argument(
        "--run", dest="file", type=path, required=True, help="a TREC run or an official submission"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Score the file and print the table."""
    from imagescope_agent.evaluation.reporting.tables import by_stage, markdown_table
    from imagescope_agent.evaluation.score_run import score_run

    metrics = score_run(args.dataset, root=args.root, run_file=args.file, split=args.split)
    if args.json:
        print_json(metrics)
        return 0
    for table in by_stage(metrics["metrics"]):
        rows = [[name, *row] for name, row in table["rows"]]
        print(plain_lines(markdown_table([table["stage"], *table["columns"]], rows)))
    return 0

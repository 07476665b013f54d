"""`imagescope search`: rank a collection's images for one query."""

from __future__ import annotations

import argparse
from typing import Any

from imagescope_agent.commands import (
    REASONING,
    WHERE,
    given,
    natural,
    path,
    plain,
    positive,
    print_json,
    words,
)
from imagescope_agent.commands.describe import describe_chain, describe_cost, describe_ranking
from imagescope_agent.records import fulfilment_words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument("text", type=words, help="what to look for, or what to change in the reference image")
    parser.add_argument(
        "--image", action="append", metavar="FILE|ID", default=[],
        help="reference: a file, or an image of the collection; given again, the text names them by their numbers",
    )  # fmt: skip
    parser.add_argument(
        "--unlike", action="append", metavar="FILE|ID", default=[],
        help="a picture of what is not wanted; may be given again",
    )  # fmt: skip
    parser.add_argument("--where", type=words, metavar="FILTER", help=WHERE)
    parser.add_argument("--graph", help="which system (see `imagescope graphs`; default: the profile's own)")
    parser.add_argument("--judge", help="how the best candidates are compared (see `imagescope judges`)")
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.add_argument("-k", type=positive, default=10, help="how many results (default: 10)")
    parser.add_argument("--budget", type=natural, metavar="CALLS", help="at most so many model calls")
    parser.add_argument(
        "--token-budget", type=natural, metavar="TOKENS", help="at most so many tokens, read and written"
    )
    parser.add_argument("--seed", type=natural, help="the same seed gives the same ranking")
    parser.add_argument("--reasoning", metavar="WHEN", help=REASONING)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Search and print the ranking with its reasons."""
    from imagescope_agent.api import ImageScope

    settings = given(args, "profile", "judge", "where", "budget", "token_budget", "seed", "reasoning")
    scope = ImageScope.open(args.collection, graph=args.graph, **settings)
    result = scope.search(args.text, images=args.image, unlike=args.unlike, k=args.k).to_dict()
    if args.json:
        print_json(result)
    else:
        print("\n".join(describe(result)))
    return 0


def describe(result: dict[str, Any]) -> list[str]:
    """A search result in lines: that nothing fits, if so, the ranking with scores and reasons, then notes and cost.

    Args:
        result: `SearchResult.to_dict()`.
    """
    return [
        *describe_chain(result),
        *map(plain, result.get("remarks", ())),
        *describe_ranking(result["results"], result["notes"]),
        *fulfilment_words(result.get("fulfilment")),
        describe_cost(result["usage"]),
    ]

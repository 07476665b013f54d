"""The subcommands of `imagescope`, one module each; here the argument types and output functions that they share."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import local_path
from imagescope_agent.common.versions import installed_versions
from imagescope_agent.errors import BadInput, shorten

MOST = 2**32 - 1  # of any whole number: what every library takes for a seed
_UNSEEN = re.compile(r"[^\x20-\x7e\n]")
TURN_SETTINGS = (
    "judge",
    "k",
    "where",
    "budget",
    "token_budget",
    "seed",
    "reasoning",
)  # settings of every turn of a conversation


WHERE = (
    "find only images that match, as \"date >= 2024-01-01 and folder = 'Rome'\": and, or, not, parentheses; "
    "= != < <= > >=, in ('a', 'b'), like 'IMG%%', contains, is missing; fields id, folder, name, caption, width, "
    "height, bytes, date, camera, lat, lon, and those of your metadata.jsonl, .csv or .parquet"
)

REASONING = "when an embedder that reasons writes its chain of thought: full, fast (never) or auto"


def version() -> str:
    """The installed version, or `unknown` in a checkout that was never installed."""
    return installed_versions(["imagescope-agent"]).get("imagescope-agent", "unknown")


def path(text: str) -> Path:
    """An argument that names a file or a folder."""
    try:
        return local_path(text)
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    return _whole(text, least=1)


def natural(text: str) -> int:
    """An argument that is a whole number of at least 0."""
    return _whole(text, least=0)


def days(text: str) -> int:
    """An argument that is a number of days; a century is as good as for ever."""
    return _whole(text, least=0, most=36_525)


def port(text: str) -> int:
    """An argument that is a TCP port."""
    return _whole(text, least=0, most=65_535)


def rate(text: str) -> float:
    """An argument that is a number above 0 and at most 1."""
    number = fraction(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def per_second(text: str) -> float:
    """An argument that is a number from 0 to 1,000."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1000.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1000")
    return number


def fraction(text: str) -> float:
    """An argument between 0 and 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def words(text: str) -> str:
    """An argument that is readable text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!a} is not valid UTF-8 text") from error
    return text


def add_turn_arguments(parser: argparse.ArgumentParser, *, k: int = 10) -> None:
    """Declare the settings of a conversation's turns, `k` of them to show; `given` reads `TURN_SETTINGS`."""
    parser.add_argument("--profile", help="which models (default: the ones that made the index)")
    parser.add_argument("--judge", help="how the best candidates are compared (see `imagescope judges`)")
    parser.add_argument("-k", type=positive, help=f"how many results a turn (default: {k})")
    parser.add_argument("--where", type=words, metavar="FILTER", help=WHERE)
    parser.add_argument("--budget", type=natural, metavar="CALLS", help="at most so many model calls a turn")
    parser.add_argument(
        "--token-budget",
        type=natural,
        metavar="TOKENS",
        help="at most so many tokens read and written a turn",
    )
    parser.add_argument("--seed", type=natural, help="the same seed gives the same rankings")
    parser.add_argument("--reasoning", metavar="WHEN", help=REASONING)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the named arguments that were given a value; the others keep their defaults elsewhere."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def plain(text: str) -> str:
    """Text that cannot move the terminal's cursor: control characters are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain_lines(text: str) -> str:
    """Several lines of such text."""
    return "\n".join(map(plain, text.split("\n")))


def print_json(value: Any) -> None:
    """Print one JSON document, for programs."""
    print(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON that cannot move a terminal's cursor either; a number that is none becomes null."""
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, default=float, allow_nan=False)
    except ValueError:  # NaN and infinity are no JSON
        finite = json.loads(json.dumps(value, default=float), parse_constant=lambda _: None)
        text = json.dumps(finite, indent=indent, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def _whole(text: str, *, least: int, most: int = MOST) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        upper = f" and at most {most}" if number > most or most < MOST else ""
        raise argparse.ArgumentTypeError(
            f"{shorten(text, 40)!r} is not a whole number of at least {least}{upper}"
        )
    return number


def add_engine_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare `--engine` and `--address`."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help=f"where {what}: in this process, or on a Ray cluster (extra `ray`)",
    )
    parser.add_argument(
        "--address",
        help="of the Ray cluster: auto for the one that this machine is in, HOST:PORT (default: "
        "RAY_ADDRESS, else the cores of this machine)",
    )

"""`imagescope bench triplets`: how right the triplets are that the agent built of a drawn collection, check by check.

Whether the words lead from reference to target is read off the scene graphs, which the agent never sees.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.scenes.reading import UnreadText, leads_to
from imagescope_agent.lab.scenes.world import Scene, Thing


def _verified(pair: Mapping[str, Any]) -> bool:
    return "fitting" in pair["evidence"]


#: Each part of the check comes after the ones before it, and ends a pair that it speaks against.
CHECKS: dict[str, Any] = {
    "no check": lambda pair: True,
    "clear words": lambda pair: pair["dropped"] != "names several",
    "verified": _verified,
    "verified, one order": lambda pair: _verified(pair) and pair["evidence"].get("orders", [])[:1] == [True],
    "verified, two orders": lambda pair: bool(pair["triplet"]),
    "verified, two orders, fits no other": lambda pair: (
        bool(pair["triplet"]) and not pair["evidence"]["fitting"]
    ),
}
_ALONE = {"describe": 1.0, "propose": 1.0}
_ASKED = {**_ALONE, "understand": 1.0, "predicates": 1.0, "verify": 1.0}
_JUDGED = {**_ASKED, "check": 1.0}
#: Share of the cost of each step that a check needs, in the order of `CHECKS`.
_STEPS = (_ALONE, _ALONE, _ASKED, {**_ASKED, "check": 0.5}, _JUDGED, _JUDGED)


def run(*, file: Path, scenes: Path) -> dict[str, Any]:
    """Measure a file of triplets.

    Args:
        file: of `imagescope triplets`, with its journal beside it.
        scenes: scenes.jsonl of the drawn collection.

    Returns:
        {"bench", "triplets": as of `measure_triplets`}.

    Raises:
        BadInput: a file is not there, or speaks of other images.
    """
    journal = file.with_name(f"{file.name}.journal")
    try:
        return {"bench": "triplets", "triplets": measure_triplets(journal, scenes)}
    except OSError as error:
        raise BadInput(
            f"cannot read {error.filename!r}: {error.strerror}; name what `imagescope triplets` made, and its scenes"
        ) from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise BadInput(
            f"{str(journal)!r} and {str(scenes)!r} do not belong together, or are damaged ({error}); name the scenes "
            "of the collection that the triplets are about"
        ) from error


def measure_triplets(journal: Path, scenes: Path) -> dict[str, dict[str, Any]]:
    """How many proposals are right by the scene graph: as they were proposed, and after each part of the check.

    Returns:
        {check: {"kept", "right", "unread", "calls", "tokens"}} for each of `CHECKS`, and "kinds": {type: {"kept",
        "right"}} of what all checks keep. `unread` are texts that are not worded as the drawn world words edits, and
        count as wrong. Calls and tokens are of all pairs, for each that is kept.
    """
    drawn = {each["id"]: _scene(each) for each in _lines(scenes)}
    known = drawn | {name.removeprefix("images/"): each for name, each in drawn.items()}  # either is indexed
    pairs = _lines(journal)[1:]
    found: dict[str, Counter[str]] = {name: Counter() for name in [*CHECKS, "kinds"]}
    for pair in pairs:
        if not pair["proposal"]:
            continue
        verdict = _verdict(known, pair)
        for name, passed in CHECKS.items():
            found[name].update([verdict] if passed(pair) else [])
        if pair["triplet"]:
            found["kinds"].update([f"{pair['proposal']['type']} {word}" for word in ("kept", verdict)])
    kinds = sorted({name.rpartition(" ")[0] for name in found["kinds"]})
    table = {
        name: {**_row(found[name]), **_cost(pairs, steps, found[name].total())}
        for name, steps in zip(CHECKS, _STEPS, strict=True)
    }
    return {
        **table,
        "kinds": {
            kind: {"kept": count, "right": round(found["kinds"][f"{kind} right"] / count, 4)}
            for kind in kinds
            if (count := found["kinds"][f"{kind} kept"])
        },
    }


def _verdict(known: Mapping[str, Scene], pair: Mapping[str, Any]) -> str:
    proposal = pair["proposal"]
    try:
        right = leads_to(known[pair["reference"]], proposal["text"], known[proposal["target"]])
    except UnreadText:
        return "unread"
    return "right" if right else "wrong"


def _row(counts: Counter[str]) -> dict[str, Any]:
    kept = counts.total()
    return {"kept": kept, "right": round(counts["right"] / max(1, kept), 4), "unread": counts["unread"]}


def _cost(pairs: list[dict[str, Any]], steps: Mapping[str, float], kept: int) -> dict[str, float]:
    spent = {"calls": 0.0, "tokens": 0.0}
    for pair in pairs:
        for step, share in steps.items():
            for name, number in pair["cost"].get("steps", {}).get(step, {}).items():
                spent[name] += share * number
    return {name: round(number / max(1, kept), 1) for name, number in spent.items()}


def _scene(line: Mapping[str, Any]) -> Scene:
    things = tuple(Thing(**thing) for thing in line["things"])
    return Scene(things=things, setting=line["setting"], variant=line["variant"])


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as a Markdown table."""
    return "\n".join(quality(made["triplets"]))


def quality(measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What `measure_triplets` gives, as a Markdown table and a line."""
    rows = [
        [
            name,
            f"{row['kept']}",
            f"{100 * row['right']:.1f}",
            f"{row['unread']}",
            f"{row['calls']:g}",
            f"{row['tokens']:g}",
        ]
        for name, row in measured.items()
        if name in CHECKS
    ]
    right = ", ".join(
        f"{kind} {100 * row['right']:.0f} % of {row['kept']}" for kind, row in measured["kinds"].items()
    )
    return [
        markdown_table(["proposals", "kept", "right, %", "unread", "calls each", "tokens each"], rows),
        f"kept triplets right by type: {right}",
    ]

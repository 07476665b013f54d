"""`imagescope bench judges`: accuracy against cost of every judge strategy, on drawn scenes or simulated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.plots import Point, scatter_plot
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks import judges_drawn, judges_simulated

#: What is equal of two measurements that may stand in one table; a seed that is not told is 0.
SAME = ("weights", "k", "seed", "queries", "not_understood", "budget")
COSTS = {"calls": "calls a query", "prompt_tokens": "prompt tokens a query", "seconds": "seconds a query"}


def run(
    *,
    profile: str,
    k: Sequence[int] | None,
    queries: int,
    judge: Sequence[str] | None,
    budget: int | None,
    seed: int,
    simulated: bool,
    trials: int,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Measure on drawn scenes, or with a simulated judge; the arguments are those of the two modules.

    Raises:
        BadInput: an unknown judge, or several numbers of candidates on drawn scenes.
    """
    if simulated:
        sizes = k or judges_simulated.SIZES
        return judges_simulated.run(sizes=sizes, trials=trials, seed=seed, names=judge)
    if len(k or []) > 1:
        raise BadInput("drawn queries are judged with one number of candidates: give -k once, or --simulated")
    return judges_drawn.run(
        profile=profile, k=(k or [10])[0], queries=queries, seed=seed, names=judge, budget=budget, keep=keep
    )


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as Markdown."""
    return judges_simulated.describe(made) if _is_simulated(made) else judges_drawn.describe(made)


def write(made: Mapping[str, Any], folder: Path) -> None:
    """Write the measurement as Markdown, JSON and a plot: judges.md, .json, .svg, or judges-simulated.*.

    What judges.json says of strategies that were not measured now stays, where it is of the same queries and weights.

    Raises:
        BadInput: judges.json is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = "judges-simulated" if _is_simulated(made) else "judges"
    made = made if _is_simulated(made) else completed(made, folder / "judges.json")
    head = f"# Judge strategies: what accuracy costs\n\n![the Pareto front]({name}.svg)\n\n"
    write_atomic(folder / f"{name}.svg", plot(made))
    write_atomic(folder / f"{name}.md", head + describe(made))
    write_atomic(folder / f"{name}.json", json.dumps(made, indent=1) + "\n")


def completed(made: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """The measurement with the strategies of an earlier one that it lacks; as it is, where that is of something else.

    The weights of the profiles that made them stay beside them.

    Raises:
        BadInput: the file is damaged.
    """
    if not file.exists():
        return made
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        alike = all(before.get(key, 0) == made.get(key, 0) for key in SAME)
        missing = set(before["variants"]) - set(made["variants"]) - set(made["refused"])
        kept = {name: before["variants"][name] for name in sorted(missing)} if alike else {}
        rows = {name: {"profile": made["profile"], **row} for name, row in kept.items()}
        profiles = {row["profile"] for row in rows.values()}
        others = {name: told for name, told in before.get("others", {}).items() if name in profiles}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{str(file)!r} is damaged; remove it, and measure all strategies again") from error
    return {
        **made,
        "others": others | made["others"],
        "variants": {**rows, **made["variants"]},
        "kept": [*rows],
    }


def plot(made: Mapping[str, Any]) -> str:
    """Quality against cost as SVG, with the Pareto front; strategies that cost nothing are left out."""
    if _is_simulated(made):
        sizes = next(iter(made["variants"].values()))["k"]
        panels = {f"k = {size}": judges_simulated.points(made, size) for size in sizes}
        labels = {"x_label": "calls", "y_label": "nDCG@10, mean over kinds of noise"}
    else:
        panels = {title: judges_drawn.points(made, cost) for cost, title in COSTS.items()}
        labels = {"x_label": "", "y_label": "share of queries whose first is right"}
    panels = {
        title: {name: point for name, point in points.items() if point[0] > 0}
        for title, points in panels.items()
    }
    return scatter_plot(panels, {title: pareto_front(points) for title, points in panels.items()}, **labels)


def pareto_front(points: Mapping[str, Point]) -> list[str]:
    """The names of the (cost, quality) points that no point of at most their cost exceeds, by rising cost."""
    front: list[str] = []
    for name in sorted(points, key=lambda each: (points[each][0], -points[each][1], each)):
        if not front or points[name][1] > points[front[-1]][1]:
            front.append(name)
    return front


def _is_simulated(made: Mapping[str, Any]) -> bool:
    return "trials" in made

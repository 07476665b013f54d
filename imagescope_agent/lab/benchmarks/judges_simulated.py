"""Every judge strategy with a simulated noisy judge: nDCG against calls for k candidates and each kind of noise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.judges import JUDGES
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.judge_simulator import Trial, simulate
from imagescope_agent.registry import resolve

#: Kinds of noise, as arguments of `NoisyJudge`.
NOISE: dict[str, dict[str, float]] = {
    "none": {},
    "error 0.1": {"error": 0.1},
    "error 0.3": {"error": 0.3},
    "bias 0.3": {"bias": 0.3},
    "intransitive 0.1": {"intransitive": 0.1},
}
SIZES = (10, 20, 50)
EXPLAINED = """Made by `imagescope bench judges --simulated --out docs`: a judge that knows how good every candidate
is, and errs. Quality is nDCG@10 of the order; calls and candidates shown in them are means over the kinds of noise.
`error e`: each time a candidate is looked at it is taken for any other with probability e. `bias b`: with probability b
an answer names what is shown first, or its label. `intransitive i`: a share i of the pairs is always judged wrongly."""

#: Strategies that cannot be simulated or that order nothing, and why.
LEFT_OUT = {
    "pairwise": "stops at the first yes and orders nothing",
    "icr": "needs the attention of a model",
    "e2rank": "needs a model that embeds",
    "affordable": "is bradley-terry, pointwise or listwise, as the budget allows",
}


def run(
    *,
    sizes: Sequence[int] = SIZES,
    trials: int = 20,
    seed: int = 0,
    names: Sequence[str] | None = None,
    noise: Mapping[str, Mapping[str, float]] = NOISE,
) -> dict[str, Any]:
    """Run every strategy on random candidates.

    Args:
        sizes: k.
        trials: first-stage orders a strategy, size and noise: the same for all strategies.
        seed: of the first trial.
        names: strategies; all but `LEFT_OUT` when None.
        noise: the kinds of noise, each as arguments of `NoisyJudge`.

    Returns:
        {"bench", "machine", "trials", "left_out", "variants": {name: {"k": {k: {noise: {"quality", "first",
        "calls", "shown", "seconds"}}}}}}: mean nDCG@10, share of trials whose best candidate came first, mean
        calls, and candidates shown in them.
    """
    chosen = [name for name in JUDGES if name not in LEFT_OUT] if names is None else list(names)
    cells = [(name, size, kind) for name in chosen for size in sizes for kind in noise]
    variants: dict[str, Any] = {name: {"k": {size: {} for size in sizes}} for name in chosen}
    for name, size, kind in tqdm(cells, desc="simulating", unit="cell", disable=None):
        variants[name]["k"][size][kind] = asyncio.run(_cell(name, size, trials, seed, noise[kind]))
    return {
        "bench": "judges",
        "machine": machine(),
        "trials": trials,
        "left_out": LEFT_OUT,
        "variants": variants,
    }


async def _cell(name: str, size: int, trials: int, seed: int, noise: Mapping[str, Any]) -> dict[str, float]:
    judge = resolve(name, JUDGES, kind="judge")
    start = time.perf_counter()
    made: list[Trial] = [await simulate(judge, size, seed=seed + each, **noise) for each in range(trials)]
    return {
        "quality": round(sum(trial.quality for trial in made) / trials, 4),
        "first": round(sum(trial.first for trial in made) / trials, 4),
        "calls": round(sum(trial.calls for trial in made) / trials, 1),
        "shown": round(sum(trial.shown for trial in made) / trials, 1),
        "seconds": round((time.perf_counter() - start) / trials, 4),
    }


def describe(made: Mapping[str, Any]) -> str:
    """The study as Markdown: a table for each k, strategies by falling mean quality under noise."""
    parts = [f"{EXPLAINED}\n\nMean of {made['trials']} random first-stage orders a cell.\n"]
    for size in next(iter(made["variants"].values()))["k"]:
        cells = {name: variant["k"][size] for name, variant in made["variants"].items()}
        kinds = list(next(iter(cells.values())))
        rows = [
            [
                name, f"{under_noise(row, 'calls'):.1f}", f"{under_noise(row, 'shown'):.0f}",
                *(f"{row[kind]['quality']:.3f}" for kind in kinds), f"{100 * under_noise(row, 'first'):.0f} %",
            ]
            for name, row in sorted(cells.items(), key=lambda pair: -under_noise(pair[1], "quality"))
        ]  # fmt: skip
        head = ["strategy", "calls", "shown", *kinds, "best first, with noise"]
        parts += [f"## k = {size}\n", markdown_table(head, rows)]
    parts += [f"`{name}` is left out: it {why}." for name, why in made["left_out"].items()]
    return "\n".join(parts) + "\n"


def points(made: Mapping[str, Any], size: int) -> dict[str, tuple[float, float]]:
    """(calls, quality) of each strategy at one k, the mean over the kinds of noise."""
    rows = {name: variant["k"][size] for name, variant in made["variants"].items()}
    return {name: (under_noise(row, "calls"), under_noise(row, "quality")) for name, row in rows.items()}


def under_noise(row: Mapping[str, Mapping[str, float]], figure: str) -> float:
    """The mean of a figure over the kinds of noise, without the one that is none."""
    noisy = [cell[figure] for kind, cell in row.items() if kind != "none"] or [row["none"][figure]]
    return sum(noisy) / len(noisy)

"""Training curves: the learning-rate schedule, and metrics as JSON lines that can be plotted."""

from __future__ import annotations

import json
import math
from pathlib import Path

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.plots import Point, line_plot
from imagescope_agent.errors import BadInput

_NOT_SHARES = ("step", "seconds", "norm", "loss")  # all other metrics are plotted between 0 and 1


def learning_rate(step: int, steps: int, *, peak: float, warmup: int, floor: float = 0.02) -> float:
    """Linear warm-up to `peak`, then a cosine decay to `floor * peak` at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, share))) / 2)


class MetricsLog:
    """Appends the metrics of a step to a JSON lines file and prints them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def add(self, step: int, **metrics: float) -> None:
        """Write the metrics of one step."""
        line = {"step": step, **{name: round(value, 4) for name, value in metrics.items()}}
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        print("  ".join(f"{name} {value:.4g}" for name, value in line.items()), flush=True)


def plot_curves(work: Path, out: Path) -> None:
    """Plot the metrics of every training in the working folder into one SVG file.

    Raises:
        BadInput: there are none yet, or the file is to be something else than SVG.
    """
    if out.suffix != ".svg":
        raise BadInput(f"plots are SVG: name a file such as {str(out.with_suffix('.svg'))!r}")
    panels: dict[str, dict[str, list[Point]]] = {}
    for path in sorted(work.glob("*/*.jsonl")):
        if path.parent.name == "pool":
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        panels[f"{path.parent.name}: training accuracy"] = {
            name: [(line["step"], line[name]) for line in lines if line.get(name) is not None]
            for name in dict.fromkeys(name for line in lines for name in line)
            if name not in _NOT_SHARES
        }
    if not panels:
        raise BadInput(f"no curve in {str(work)!r} yet; run `imagescope train mini-mllm --work {work}` first")
    write_atomic(out, line_plot(panels, x_label="step", y_label="", y_range=(0, 1)))

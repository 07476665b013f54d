"""What every training here shares: a learning-rate schedule and a curve on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path


def rate(step: int, steps: int, *, peak: float, warmup: int, floor: float = 0.02) -> float:
    """Linear warm-up to `peak`, then a cosine down to `floor * peak` at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, share))) / 2)


class Curve:
    """Appends one JSON line a measurement and shows it, so that a training can be watched and plotted."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def add(self, step: int, **figures: float) -> None:
        """Write the figures of one step."""
        line = {"step": step, **{name: round(value, 4) for name, value in figures.items()}}
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        print("  ".join(f"{name} {value:.4g}" for name, value in line.items()), flush=True)

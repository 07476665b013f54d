"""What the arguments of benchmarks are declared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imagescope_agent.commands import natural, path, positive


@dataclass(frozen=True)
class Bench:
    """A benchmark: its help, and its arguments as flag -> keywords of `add_argument`."""

    summary: str
    arguments: dict[str, dict[str, Any]]


def count(default: int, about: str, **more: Any) -> dict[str, Any]:
    """A number of something, at least 1."""
    return {"type": positive, "default": default, "help": f"{about} (default: {default})", **more}


def seed(of: str) -> dict[str, Any]:
    """The seed of something."""
    return {"type": natural, "default": 0, "help": f"of {of} (default: 0)"}


def seeds(what: str, *default: int) -> dict[str, Any]:
    """Several seeds."""
    told = f"{what} (default: {' '.join(map(str, default))})"
    return {"type": natural, "nargs": "+", "default": [*default], "help": told}


def names(what: str, *default: str) -> dict[str, Any]:
    """Several names."""
    told = f"(default: {' '.join(default)})"
    return {"nargs": "+", "default": [*default], "metavar": what, "help": told}


def profile(whose: str) -> dict[str, Any]:
    """A profile."""
    return {"default": "mini", "help": f"{whose} (default: mini)"}


def root(default: str) -> dict[str, Any]:
    """A folder of drawn scenes that is kept."""
    return {"type": path, "help": f"drawn scenes (default: {default})"}

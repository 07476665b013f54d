"""Results published in papers, each with its protocol, so that only comparable ones stand beside ours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def published_figures() -> tuple[dict[str, Any], ...]:
    """Every entry of published.toml: system, dataset, backbone, protocol, source, remark and metrics (per
    cent).
    """
    text = (
        files("imagescope_agent.evaluation.reporting").joinpath("published.toml").read_text(encoding="utf-8")
    )
    return tuple(tomllib.loads(text)["figure"])


def comparable(figure: Mapping[str, Any], protocol_key: str) -> bool:
    """Whether a figure follows exactly the protocol with this key; an unknown protocol is never
    comparable.
    """
    return bool(figure["protocol"]) and figure["protocol"] == protocol_key


def rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """The published figures of a run's data set as rows of text, comparable ones first.

    Args:
        metrics: the content of metrics.json; `protocol_key` decides what may be compared.
    """
    chosen = [figure for figure in published_figures() if figure["dataset"] == metrics["dataset"]]
    chosen.sort(key=lambda figure: not comparable(figure, metrics["protocol_key"]))
    return [
        {
            "system": figure["system"],
            "backbone": figure["backbone"],
            "figures": ", ".join(f"{name} {value:.2f}" for name, value in figure["metrics"].items()),
            "protocol": _protocol_remark(figure, metrics["protocol_key"]),
            "source": figure["source"],
        }
        for figure in chosen
    ]


def _protocol_remark(figure: Mapping[str, Any], protocol_key: str) -> str:
    same = "same" if comparable(figure, protocol_key) else "different or not stated"
    return f"{same}: {figure['remark']}" if figure["remark"] else same

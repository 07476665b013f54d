"""Shared by the benchmarks on drawn scenes: reading the queries, and clearing caches between variants."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.services import Services


@dataclass(frozen=True, kw_only=True)
class DrawnQuery:
    """A drawn query: its text, the id of its reference or None, and the ids of all relevant images; and its kind."""

    text: str
    reference: str | None
    targets: frozenset[str]
    kind: str = ""


def read_queries(root: Path, count: int) -> list[DrawnQuery]:
    """The first `count` queries, text and composed ones alternating.

    Raises:
        BadInput: no drawn scenes there, or too few queries.
    """
    try:
        kinds = [
            (root / name).read_text(encoding="utf-8").splitlines() for name in ("tir.jsonl", "cir.jsonl")
        ]
    except OSError as error:
        raise BadInput(
            f"{str(root)!r} holds no drawn scenes; make some with `imagescope scenes make`"
        ) from error
    lines = [json.loads(line) for pair in zip(*kinds, strict=False) for line in pair][:count]
    if len(lines) < count:
        raise BadInput(f"{str(root)!r} holds {len(lines)} queries, not {count}; draw more scenes")
    return [
        DrawnQuery(
            text=line["text"],
            reference=_inside(line["reference"]) if "reference" in line else None,
            targets=frozenset(map(_inside, line["targets"])),
            kind=line.get("kind", ""),
        )
        for line in lines
    ]


def _inside(name: str) -> str:
    return name.removeprefix("images/")


def clear_caches(services: Services) -> None:
    """Clear the prefix and vision feature caches of the local models."""
    for model in _local_models(services):
        model.clear_caches()


def tokens_of(services: Services) -> int:
    """Tokens that passed the local models so far, padding included."""
    return sum(model.engine().stats().tokens for model in _local_models(services))


def _local_models(services: Services) -> list[TransformersChat]:
    """Each once, as the roles share them."""
    models = [role.model for role in services.roles.values()]
    local = {id(model): model for model in models if isinstance(model, TransformersChat)}
    return list(local.values())

"""Runs of the indexer with a scripted captioner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagescope_agent.mllms.scripted import Asked
from imagescope_agent.retrieval.index.cache import JOURNAL
from imagescope_agent.retrieval.index.report import IndexReport

Index = Callable[..., IndexReport]


def describe(asked: Asked) -> str:
    return f" a picture \n called {asked.images[0][:8]} "


def cost(index: Any) -> tuple[int, int]:
    """How many pictures were embedded and captioned by the last run."""
    return index.embedder.seen_images, len(index.captioner.asked)


def published(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(JOURNAL)}

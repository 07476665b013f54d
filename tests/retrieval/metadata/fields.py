"""Index a folder, and find by its fields."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.report import IndexReport
from tests.conftest import PALETTE, ColourEmbedder

COLOURS = list(PALETTE)


def index(folder: Path, **options: Any) -> IndexReport:
    captioner = Role("captioner", Scripted("a square"))
    work = build(
        folder, None, ColourEmbedder(), captioner, "describe", captioner_weights="scripted", **options
    )
    return asyncio.run(work)


def found(folder: Path, where: str) -> list[str]:
    collection = FolderCollection.open(folder)
    return [name for name, hit in zip(collection.ids, collection.matching(where), strict=True) if hit]

"""Indices that share a database, and what a database holds of one: nothing is lost, taken for another or left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.stores import open_store
from tests.engines import store_spec


@pytest.fixture(params=["milvus", "pgvector"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database beside no index."""
    spec = store_spec(request.param, request)
    return f"milvus:{tmp_path / 'shared.db'}" if spec == "milvus" else spec


def test_machines_with_one_path_and_copies_of_a_folder_remove_no_others_tables(
    shared: str, pictures: Callable[..., Path], index: Any, draw: Callable[..., Path], tmp_path: Path
) -> None:
    def all_of(place: Path) -> set[str]:
        return {
            name for name, _ in FolderCollection.open(place, store=shared).search([1.0] + [0.0] * 47, 0.1, 9)
        }

    here = pictures(5)
    index(here, store=shared)
    first = here.rename(tmp_path / "on another machine")
    shutil.copytree(first, tmp_path / "copy")
    pictures(4)
    index(here, store=shared)
    draw(tmp_path / "copy" / "new.png", 99)
    index(tmp_path / "copy", store=shared)
    assert [len(all_of(place)) for place in (first, here, tmp_path / "copy")] == [5, 4, 6]
    kept = [space.kept for space in manifest.read(here / ".imagescope").all_spaces]
    open_store(shared).tidy(here / ".imagescope", kept)
    assert len(all_of(here)) == 4
    open_store(shared).tidy(here / ".imagescope", [])
    with pytest.raises(Exception, match="is missing"):
        all_of(here)
    assert [len(all_of(place)) for place in (first, tmp_path / "copy")] == [5, 6]

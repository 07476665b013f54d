"""Where the runs under test are kept: SQLite, and a PostgreSQL server (`url`)."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new place, as `ImageScope` is told it."""
    if request.param == "sqlite":
        return str(tmp_path / "kept.sqlite")
    return str(request.getfixturevalue("url"))

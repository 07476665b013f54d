"""Where the runs under test are kept: SQLite, and a PostgreSQL server."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import Server, pgvector_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if importlib.util.find_spec("langgraph.checkpoint.postgres") is None:
        pytest.skip("PostgreSQL needs an extra: pip install 'imagescope-agent[postgres]'")
    with pgvector_server() as server:
        yield server


@pytest.fixture
def url(postgres: Server) -> str:
    """A new, empty database."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new place, as `ImageScope` is told it."""
    if request.param == "sqlite":
        return str(tmp_path / "kept.sqlite")
    return str(request.getfixturevalue("url"))

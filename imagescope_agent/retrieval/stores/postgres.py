"""Connections to PostgreSQL with the extension `vector`, and what it says, told in a line (extra `pgvector`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imagescope_agent.common.postgres import connection_options, is_away
from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BackendUnavailable, BadInput, MissingExtra


def library() -> tuple[Any, Any]:
    """psycopg, and what makes a connection of it take vectors.

    Raises:
        MissingExtra: one of the two packages is not installed.
    """
    try:
        import psycopg
        from pgvector.psycopg import register_vector
    except ImportError as error:
        raise MissingExtra("the store needs an extra: pip install 'imagescope-agent[pgvector]'") from error
    return psycopg, register_vector


def connect(url: str) -> Any:
    """A connection to a database, with the extension.

    Raises:
        BadInput: no database is named, or the URL is wrong.
        MissingExtra: as `library`.
        psycopg.Error: see `answering`.
    """
    if not url:
        raise BadInput(
            "the store 'pgvector' names no database; write pgvector:postgresql://USER@HOST/DATABASE"
        )
    psycopg, register_vector = library()
    try:
        options = connection_options(url)
    except BadInput as error:
        raise BadInput(f"PostgreSQL refuses the vectors: {error}") from None
    base = psycopg.connect(autocommit=True, **options)
    base.execute("SET client_min_messages = warning")
    base.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(base)
    return base


@contextmanager
def answering() -> Iterator[None]:
    """Tell in a line what the database says.

    Raises:
        BadInput: what was asked does not suit it, as where the extension is not installed.
        BackendUnavailable: it does not answer.
    """
    try:
        yield
    except Exception as error:
        if not any(each.__module__.startswith("psycopg") for each in type(error).__mro__):
            raise
        told = redact(" ".join(str(error).split()))[:200]
        if is_away(error):
            raise BackendUnavailable(f"PostgreSQL does not answer: {told}; check that it runs") from error
        raise BadInput(f"PostgreSQL refuses the vectors: {told}; check its rights and extension") from error

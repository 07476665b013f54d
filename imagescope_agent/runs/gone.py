"""A database server that does not answer, told in one line."""

from __future__ import annotations

from imagescope_agent.common.postgres import server_of
from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BackendUnavailable, shorten


class StoreGone(BackendUnavailable):
    """The database server does not answer, or no longer; what it was told before is kept."""


def gone(url: str, why: str) -> StoreGone:
    """The error where the server of a URL is away; never with the URL, which may hold a password."""
    server = server_of(url)
    return StoreGone(f"PostgreSQL on {server} does not answer: {shorten(redact(why), 200)}; is it running?")

"""A database server that does not answer, told in one line."""

from __future__ import annotations

from urllib.parse import urlsplit

from imagescope_agent.errors import BackendUnavailable, shorten


class StoreGone(BackendUnavailable):
    """The database server does not answer, or no longer; what it was told before is kept."""


def gone(url: str, why: str) -> StoreGone:
    """The error where the server of a URL is away; never with the URL, which may hold a password."""
    server = urlsplit(url).hostname or "this machine"
    return StoreGone(f"PostgreSQL on {server} does not answer: {shorten(why, 200)}; is it running?")

"""How conversations are called in a list: by their first message, a branch below the one that it left."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from imagescope_agent.errors import shorten

MAX_NAME = 64  # characters, see `session.check_name`
_INDENT = "\u2003"  # a space that lists keep
_BRANCH = re.compile(r"(.+)\.b[0-9a-f]{6}")


def branch_name(thread: str) -> str:
    """A new name for a branch, which begins with that of the conversation it leaves (cut where it is too long)."""
    end = f".b{uuid.uuid4().hex[:6]}"
    return thread[: MAX_NAME - len(end)] + end


def parent_of(thread: str) -> str | None:
    """The name of the conversation that a branch left; None for no branch."""
    match = _BRANCH.fullmatch(thread)
    return match[1] if match else None


def titled(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """A title and the name of each conversation.

    Args:
        rows: of `Chats.list`, in the order in which conversations that are no branches stay.
    """
    known = {row["thread"] for row in rows}
    below: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        parent = _parent(row)
        below.setdefault(parent if parent in known else None, []).append(row)

    def listed(parent: str | None, depth: int) -> Iterator[tuple[str, str]]:
        for row in below.get(parent, ()):
            yield _title(row, depth), row["thread"]
            yield from listed(row["thread"], depth + 1)

    return list(listed(None, 0))


def _parent(row: Mapping[str, Any]) -> str | None:
    """The name of the conversation that a branch left: as it was kept, else as its name tells."""
    kept = row.get("parent")
    return str(kept["thread"]) if kept else parent_of(row["thread"])


def _title(row: Mapping[str, Any], depth: int) -> str:
    branch = _parent(row) is not None
    words = shorten(row["last"] if depth else row["first"], 40) or "nothing said yet"
    name = f"{_INDENT * max(0, depth - 1)}↳ branch: {words}" if branch else words
    count = f"{row['turns']} turn{'s' if row['turns'] != 1 else ''}"
    return f"{name} · {count} · {_when(row['at'])}"


def _when(at: str) -> str:
    """The local time of an ISO 8601 one: of today the hour, else the day."""
    if not at:
        return ""
    then = datetime.fromisoformat(at).astimezone()
    today = then.date() == datetime.now().astimezone().date()
    return f"{then:%H:%M}" if today else f"{then:%d %b %Y}"

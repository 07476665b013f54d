"""The tables of conversations and of their finished turns, for SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imagescope_agent.records import NoteDict

TABLES = (
    """create table if not exists imagescope_conversations (
    thread text primary key, used bigint not null, turns bigint not null, about text not null,
    pending text, notes text)""",
    "create index if not exists imagescope_conversations_used on imagescope_conversations (used)",
    """create table if not exists imagescope_turns (
    thread text not null, number bigint not null, turn blob not null, kept blob, verdicts blob,
    primary key (thread, number))""",
)


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A row of the table of conversations.

    Attributes:
        thread: its thread_id.
        turns: how many are finished.
        about: "profile", "first" and "last" message, "at" (when it was last used, ISO 8601), and "parent" with the
            "thread" and "turn" that it was branched from, or None.
        pending: the message whose turn has not ended, as the graph is given it, and the "settings" of that turn.
        notes: on messages that were given up since the last turn.
    """

    thread: str
    turns: int
    about: dict[str, Any]
    pending: dict[str, Any] | None
    notes: list[NoteDict]

"""Move what SQLite files keep of a collection's conversations, searches and traces into PostgreSQL.

What the database has already stays as it is, so a migration that was stopped goes on where it was. The files stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.chats import CHATS_VARIABLE, Chats, open_chats
from imagescope_agent.chat.store import FILE as CHATS_FILE
from imagescope_agent.common.untrusted import beside, local_path
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import FILE as RUNS_FILE
from imagescope_agent.runs.checkpoints import POSTGRES, open_checkpoints, open_store, reading
from imagescope_agent.runs.run_store import scope_of
from imagescope_agent.services import Services
from imagescope_agent.traces.database import DatabaseTraces
from imagescope_agent.traces.store import FILE as TRACES_FILE
from imagescope_agent.traces.store import TraceStore

_CONVERSATION = "select used, turns, about, pending, notes from imagescope_conversations where thread = ?"
_TURNS = "select number, turn, kept, verdicts from imagescope_turns where thread = ? order by number"
_THREADS = "select distinct thread_id from checkpoints where checkpoint_ns = '' order by thread_id"


@dataclass(kw_only=True)
class Moved:
    """How many were written; those that the database had are not counted."""

    conversations: int = 0
    runs: int = 0
    traces: int = 0


async def migrate_store(services: Services, url: str) -> Moved:
    """Write what is kept beside an index, or in files that the environment names, into a database.

    Args:
        services: of the collection.
        url: "postgresql://...".

    Raises:
        BadInput: the URL is none, or a file is damaged.
        BackendUnavailable: the database does not answer.
    """
    if not url.startswith(POSTGRES):
        raise BadInput(f"{url!r} is no database; write postgresql://USER@HOST/DATABASE")
    location = services.collection.location
    scope, moved = scope_of(location), Moved()
    if (file := _file(CHATS_VARIABLE, location, CHATS_FILE)) is not None:
        async with (
            open_chats(services, store=file) as source,
            open_chats(services, store=url) as target,
        ):
            moved.conversations = await _conversations(source, target)
    if (file := _file("IMAGESCOPE_RUNS", location, RUNS_FILE)) is not None:
        async with open_checkpoints(file) as before, open_store(url, scope=scope) as after:
            with reading(file):
                moved.runs = await _runs(before, after)
    if (file := _file("IMAGESCOPE_TRACES", location, TRACES_FILE)) is not None:
        with closing(TraceStore(file, reading=True)) as old, closing(DatabaseTraces(url, scope)) as new:
            moved.traces = sum(new.take(*each) for each in _traces(old))
    return moved


def _file(variable: str, location: Path, name: str) -> Path | None:
    """The file that is to be moved; None where there is none."""
    named = os.environ.get(variable, "")
    if named.startswith(POSTGRES):
        named = ""  # where it is moved to: what lies beside the index is from before
    path = local_path(os.path.expanduser(named)) if named else beside(location, name)
    return path if path.is_file() else None


async def _conversations(source: Chats, target: Chats) -> int:
    moved = 0
    for thread, _ in await source.store.all():
        async with source.store.turn(thread), target.store.turn(thread):
            if await target.store.exists(thread):
                continue
            await source.store.find(thread)  # one of an older version is converted
            key, new = source.store.key(thread), target.store.key(thread)
            rows = await source.store.turns.database.fetch(_CONVERSATION, key)
            turns = await source.store.turns.database.fetch(_TURNS, key)
            async with target.store.turns.database.transaction() as execute:
                for row in rows:
                    await execute("insert into imagescope_conversations values (?, ?, ?, ?, ?, ?)", new, *row)
                for turn in turns:
                    await execute("insert into imagescope_turns values (?, ?, ?, ?, ?)", new, *turn)
            moved += len(rows)
    return moved


async def _runs(before: Any, after: BaseCheckpointSaver[Any]) -> int:
    """Copy the last checkpoint of every run, with what its unfinished step wrote: all that a resumption reads."""
    moved = 0
    async with before.lock:
        threads = [str(row[0]) for row in await before.conn.execute_fetchall(_THREADS)]
    for thread in threads:
        config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        last = await before.aget_tuple(config)
        if last is None or await after.aget_tuple(config) is not None:
            continue
        versions = last.checkpoint["channel_versions"]
        kept = await after.aput(config, last.checkpoint, last.metadata, versions)
        by_task: dict[str, list[tuple[str, Any]]] = {}
        for task, channel, value in last.pending_writes or ():
            by_task.setdefault(task, []).append((channel, value))
        for task, writes in by_task.items():
            await after.aput_writes(kept, writes, task)
        moved += 1
    return moved


def _traces(old: TraceStore) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every trace, the oldest first."""
    for listed in reversed(old.runs(10**9)):
        yield old.read(listed.id)

"""Move what SQLite files keep of a collection's conversations, searches and traces into PostgreSQL.

What the database has already stays as it is, so a migration that was stopped goes on where it was. The files stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

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
    """How many were written.

    Attributes:
        kept: how many more of them all have a name that the database has already; they stay as they are there.
        shared: files that the environment names, which other collections may share: all they keep is counted here.
    """

    conversations: int = 0
    runs: int = 0
    traces: int = 0
    kept: int = 0
    shared: list[str] = field(default_factory=list)


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
            await _conversations(source, target, moved)
    if (file := _file("IMAGESCOPE_RUNS", location, RUNS_FILE)) is not None:
        async with open_checkpoints(file) as before, open_store(url, scope=scope) as after:
            with reading(file):
                await _runs(before, after, moved)
    if (file := _file("IMAGESCOPE_TRACES", location, TRACES_FILE)) is not None:
        with closing(TraceStore(file, reading=True)) as old, closing(DatabaseTraces(url, scope)) as new:
            taken = [new.take(*each) for each in _traces(old)]
            moved.traces, moved.kept = sum(taken), moved.kept + taken.count(False)
    moved.shared = [name for name in ("IMAGESCOPE_RUNS", "IMAGESCOPE_TRACES") if _is_named(name)]
    return moved


def _file(variable: str, location: Path, name: str) -> Path | None:
    """The file that is to be moved; None where there is none."""
    named = os.environ.get(variable, "") if _is_named(variable) else ""
    path = local_path(os.path.expanduser(named)) if named else beside(location, name)
    return path if path.is_file() else None


def _is_named(variable: str) -> bool:
    """Whether a file is named; of a database, where it is moved to, what lies beside the index is from before."""
    named = os.environ.get(variable, "")
    return bool(named) and not named.startswith(POSTGRES)


async def _conversations(source: Chats, target: Chats, moved: Moved) -> None:
    """Copy conversations, each after the checkpoints of its unfinished turn: a row that is there is whole."""
    for thread, _ in await source.store.all():
        async with source.store.turn(thread), target.store.turn(thread):
            if await target.store.exists(thread):
                moved.kept += 1
                continue
            await source.store.find(thread)  # one of an older version is converted
            key, new = source.store.key(thread), target.store.key(thread)
            rows = await source.store.turns.database.fetch(_CONVERSATION, key)
            turns = await source.store.turns.database.fetch(_TURNS, key)
            steps = [each async for each in source.store.saver.alist(_named(key))]
            for step in reversed(steps):
                await _copy(step, target.store.saver, _named(new))
            async with target.store.turns.database.transaction() as execute:
                for row in rows:
                    await execute("insert into imagescope_conversations values (?, ?, ?, ?, ?, ?)", new, *row)
                for turn in turns:
                    await execute("insert into imagescope_turns values (?, ?, ?, ?, ?)", new, *turn)
            moved.conversations += len(rows)


async def _runs(before: Any, after: BaseCheckpointSaver[Any], moved: Moved) -> None:
    """Copy the last checkpoint of every run, with what its unfinished step wrote: all that a resumption reads."""
    async with before.lock:
        threads = [str(row[0]) for row in await before.conn.execute_fetchall(_THREADS)]
    for thread in threads:
        last = await before.aget_tuple(_named(thread))
        if last is None:
            continue
        if await after.aget_tuple(_named(thread)) is not None:
            moved.kept += 1
            continue
        await _copy(last, after, _named(thread))
        moved.runs += 1


async def _copy(step: CheckpointTuple, after: BaseCheckpointSaver[Any], config: RunnableConfig) -> None:
    """Copy a checkpoint, what its unfinished tasks wrote first: one that is there is whole, however this is ended."""
    by_task: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in step.pending_writes or ():
        by_task.setdefault(task, []).append((channel, value))
    for task, writes in by_task.items():
        await after.aput_writes(_at(config, step.checkpoint["id"]), writes, task)
    parent = (step.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    versions = step.checkpoint["channel_versions"]
    await after.aput(_at(config, parent), step.checkpoint, step.metadata, versions)


def _named(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


def _at(config: RunnableConfig, checkpoint: str | None) -> RunnableConfig:
    found = {} if checkpoint is None else {"checkpoint_id": checkpoint}
    return {"configurable": {**config["configurable"], **found}}


def _traces(old: TraceStore) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every trace, the oldest first."""
    for listed in reversed(old.runs(10**9)):
        yield old.read(listed.id)

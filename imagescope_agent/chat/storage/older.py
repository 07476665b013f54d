"""Conversations that older versions kept: all turns in every checkpoint, many checkpoints a turn.

They are converted when they are opened, or all at once by `imagescope chat --compact`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from imagescope_agent.chat.migrations import migrate
from imagescope_agent.chat.storage.kept import check_turn, found_verdicts, kept_state
from imagescope_agent.chat.storage.tables import Conversation
from imagescope_agent.chat.storage.turns import TurnTable
from imagescope_agent.state import Turn, Verdicts
from imagescope_agent.usage import sum_usage

AT_REST: tuple[tuple[str, ...], ...] = ((), ("ask",))  # `next` of a state that waits for the user
SOUGHT = 20  # turns that undo and branches reach back: each costs some twenty whole states to find


class Older:
    """The conversations of older versions in a store.

    Args:
        saver: holds their checkpoints.
        graph: compiled with it.
        turns: the table that they are written into.
    """

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        graph: CompiledStateGraph[Any, Any, Any, Any],
        turns: TurnTable,
    ) -> None:
        self._saver, self._graph, self._turns = saver, graph, turns

    async def keys(self, is_ours: Callable[[str], bool]) -> list[str]:
        """The threads with checkpoints and without a row in the table of conversations."""
        if not hasattr(self._saver, "conn"):
            return []
        rows = await self._turns.database.fetch(
            "select distinct thread_id from checkpoints where checkpoint_ns = '' and not exists "
            "(select 1 from imagescope_conversations where thread = thread_id)"
        )
        return sorted(str(key) for (key,) in rows if is_ours(str(key)))

    async def exists(self, key: str) -> bool:
        """Whether there are checkpoints of that thread."""
        return await self._saver.aget_tuple(_config(key)) is not None

    async def summary(self, key: str) -> Conversation | None:
        """A conversation as its row would be; None for the thread of another graph."""
        snapshot = await self._graph.aget_state(_config(key))
        turns = snapshot.values.get("turns")
        if not isinstance(turns, list):
            return None
        return Conversation(
            thread=key, turns=len(turns), about=_about(snapshot, turns), pending=None, notes=[]
        )

    async def convert(self, key: str) -> None:
        """Write a conversation's turns into the table, and delete its checkpoints.

        The message of an unfinished turn is kept with them, and answered anew.
        """
        kept = await self._saver.aget_tuple(_config(key))
        if kept is None:
            return
        # by its id, or writes of a step that was cut off before its checkpoint would count as done
        head = await self._graph.aget_state(kept.config)
        turns: list[Turn] = [check_turn(turn) for turn in head.values.get("turns", [])]
        states = await self._states(head, len(turns))
        rows: list[tuple[Turn, dict[str, Any] | None, Verdicts]] = []
        known: Verdicts = {}
        for number, turn in enumerate(turns, 1):
            values = states.get(number)
            verdicts = values.get("verdicts", {}) if values else known
            state = None if values is None else _converted(values, turns[:number])
            rows.append((turn, state, found_verdicts(known, verdicts)))
            known = verdicts
        pending = None if head.next in AT_REST and not _resumed(kept) else _message(head, kept)
        await self._turns.import_turns(key, _about(head, turns), rows, pending)
        await self._saver.adelete_thread(key)

    async def _states(self, snapshot: StateSnapshot, count: int) -> dict[int, dict[str, Any]]:
        """The latest ancestors at rest by how many turns they have, of the last `SOUGHT`."""
        found: dict[int, dict[str, Any]] = {}
        while True:
            number = len(snapshot.values.get("turns", ()))
            if number < max(1, count - SOUGHT + 1):
                return found
            if snapshot.next in AT_REST:
                found.setdefault(number, snapshot.values)
            if snapshot.parent_config is None:
                return found
            snapshot = await self._graph.aget_state(snapshot.parent_config)


def _config(key: str) -> RunnableConfig:
    return {"configurable": {"thread_id": key, "checkpoint_ns": ""}}


def _about(snapshot: StateSnapshot, turns: list[Turn]) -> dict[str, Any]:
    metadata = snapshot.metadata or {}
    return {
        "profile": metadata.get("profile"),
        "first": turns[0]["message"] if turns else "",
        "last": turns[-1]["message"] if turns else "",
        "at": str(snapshot.created_at or ""),
        "parent": None,
    }


def _converted(values: dict[str, Any], turns: list[Turn]) -> dict[str, Any]:
    calls = sum_usage(entry for turn in turns for entry in turn["usage"]).calls
    return {**kept_state(migrate(values)), "calls": calls}


def _resumed(kept: Any) -> bool:
    """Whether a message was taken while the conversation waited, and nothing was done with it yet."""
    return any(channel == "__resume__" for _, channel, _ in kept.pending_writes or ())


def _message(head: StateSnapshot, kept: Any) -> dict[str, Any]:
    """The message of an unfinished turn, as the graph is given it."""
    resumed = [value for _, channel, value in kept.pending_writes or () if channel == "__resume__"]
    given = resumed[-1] if resumed else kept.checkpoint["channel_values"].get("__start__")
    if isinstance(given, list) and given:
        given = given[-1]
    values: dict[str, Any] = given if isinstance(given, dict) else head.values
    unread = values is given or head.next == ("begin",)
    return {
        "query": values.get("query" if unread else "message"),
        "reference": values.get("reference"),
        "feedback": values.get("feedback"),
        "settings": (head.metadata or {}).get("settings"),
    }

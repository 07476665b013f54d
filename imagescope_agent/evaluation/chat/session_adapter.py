"""Adapter that evaluates graphs of conversations: each round of a dialog is a turn of a conversation."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.evaluation.datasets.base import BenchmarkQuery
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import RANKED, overwrite

#: Graphs that keep a dialog state between turns.
CONVERSATIONAL_GRAPHS = frozenset({"chat", "chat_retrieve"})


class SessionAdapter:
    """Runs the rounds of dialogs in order, in whatever order they are asked for, each once.

    Nothing is stored on disk: a resumed run repeats the earlier rounds of its unfinished dialogs.

    Args:
        graph: one of `CONVERSATIONAL_GRAPHS`.
        services: of each gallery.
        settings: of each gallery.
        queries: every round of the dialogs that may be asked for.
    """

    def __init__(
        self,
        graph: str,
        services: Mapping[str, Services],
        settings: Mapping[str, Settings],
        queries: Sequence[BenchmarkQuery],
    ) -> None:
        build, self._saver, self._settings = load_graph(graph), InMemorySaver(), settings
        self._graphs = {name: build(each, checkpointer=self._saver) for name, each in services.items()}
        self._rounds: dict[str, list[BenchmarkQuery]] = defaultdict(list)
        for query in sorted(queries, key=lambda query: query.turn):
            self._rounds[query.group].append(query)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._carried: dict[str, dict[str, Any]] = {}  # dialog -> state after its last turn
        self._unread: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)

    async def state(self, query: BenchmarkQuery) -> dict[str, Any]:
        """The graph's state after a round (rankings, notes and usage of that turn), which may be read once.

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: this round, or one before it, cannot be answered.
        """
        async with self._locks[query.group]:
            unread = self._unread[query.group]
            if query.turn not in unread:
                for each in self._rounds[query.group][self._rounds_played(query.group) : query.turn + 1]:
                    unread[each.turn] = await self._play_round(each)
            return unread.pop(query.turn)

    def _rounds_played(self, group: str) -> int:
        return int(self._carried.get(group, {}).get("turns", 0))

    async def _play_round(self, query: BenchmarkQuery) -> dict[str, Any]:
        """One turn on a new thread that starts from the carried state, so that a failed turn changes nothing."""
        graph, thread = self._graphs[query.gallery], uuid.uuid4().hex
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        try:
            if carried := self._carried.get(query.group):
                await graph.aupdate_state(config, carried, as_node="answer")
            message = {"query": query.said, "reference": None}
            state: dict[str, Any] = await graph.ainvoke(
                message, config, context=self._settings[query.gallery], durability="exit"
            )
        finally:
            await self._saver.adelete_thread(thread)
        self._carried[query.group] = _carry_over(state)
        return {name: state[name] for name in (*RANKED, "notes", "usage")}


def _carry_over(state: Mapping[str, Any]) -> dict[str, Any]:
    return overwrite({name: value for name, value in state.items() if name not in RANKED and name[0] != "_"})

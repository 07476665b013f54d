"""Dialogs as conversations: each round is a turn of the graph `chat`, told only what is new in that round."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Overwrite

from imagescope_agent.evaluation.datasets.base import BenchmarkQuery
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings

#: Graphs that keep what was said before.
TALKING = frozenset({"chat"})
#: What a turn leaves behind for the next one would grow with the gallery: the next one does not need it.
FORGOTTEN = ("candidates", "ranking_retrieve", "ranking_verify", "ranking", "results")
ACCUMULATED = ("verdicts", "notes", "usage")  # keys that a plain update would add to


class Turns:
    """Asks for the rounds of dialogs in any order: the rounds before are said first, once.

    Nothing is kept on disk: a run that was stopped says the earlier rounds of its unfinished dialogs again.

    Args:
        graph: one of `TALKING`.
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
        self._standing: dict[str, dict[str, Any]] = {}  # dialog -> what is known after its last turn
        self._answered: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)

    async def state(self, query: BenchmarkQuery) -> dict[str, Any]:
        """The graph's state after a round (rankings, notes and usage of that turn); each can be had once.

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: this round, or one before it, cannot be answered.
        """
        async with self._locks[query.group]:
            answered = self._answered[query.group]
            if query.turn not in answered:
                for each in self._rounds[query.group][self._said(query.group) : query.turn + 1]:
                    answered[each.turn] = await self._say(each)
            return answered.pop(query.turn)

    def _said(self, group: str) -> int:
        return len(self._standing.get(group, {}).get("turns", []))

    async def _say(self, query: BenchmarkQuery) -> dict[str, Any]:
        """One turn on a thread of its own that begins with what is known: a turn that fails leaves no trace."""
        graph, thread = self._graphs[query.gallery], uuid.uuid4().hex
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        try:
            if known := self._standing.get(query.group):
                await graph.aupdate_state(config, known, as_node="answer")
            said = {"query": query.said, "reference": None}
            state: dict[str, Any] = await graph.ainvoke(
                said, config, context=self._settings[query.gallery], durability="exit"
            )
        finally:
            await self._saver.adelete_thread(thread)
        self._standing[query.group] = _kept(state)
        return {name: state[name] for name in (*FORGOTTEN, "notes", "usage")}


def _kept(state: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in state.items() if name not in FORGOTTEN and name[0] != "_"}
    kept["turns"] = [{**turn, "results": []} for turn in state["turns"]]
    return {name: Overwrite(value) if name in ACCUMULATED else value for name, value in kept.items()}

"""Run one turn of a conversation on the graph, from where it was cut off, and write it down when it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from imagescope_agent.chat.storage.database import is_storage_error
from imagescope_agent.chat.storage.kept import found_verdicts, kept_state
from imagescope_agent.chat.storage.older import AT_REST
from imagescope_agent.chat.storage.tables import Conversation
from imagescope_agent.chat.store import ConversationStore, graph_for
from imagescope_agent.errors import (
    BackendUnavailable,
    ImageScopeError,
    Misconfigured,
    ModelFailed,
    shorten,
)
from imagescope_agent.judges import JUDGES, OWN_JUDGE
from imagescope_agent.nodes.chat.parse_message import PARSED, CheckedMessage
from imagescope_agent.records import NoteDict, note
from imagescope_agent.settings import Settings
from imagescope_agent.state import Turn, overwrite
from imagescope_agent.traces.instrument import recording
from imagescope_agent.traces.store import place

Progress = Callable[[str], None]


#: A turn that fails like this is given up: the same message would fail again, and nothing else could be said.
LASTING = (Misconfigured, ModelFailed)


class TurnRunner:
    """The turns of one conversation, whose lock is held.

    Args:
        store: the conversations.
        thread: the name of this one.
        progress: called with the name of each step when it is done.
    """

    def __init__(self, store: ConversationStore, thread: str, progress: Progress | None = None) -> None:
        self.store, self.thread, self.progress = store, thread, progress
        self.key = store.key(thread)

    async def begin(
        self, conversation: Conversation, standing: Mapping[str, Any], checked: CheckedMessage
    ) -> tuple[Turn, dict[str, Any]]:
        """Run a turn with a new message; see `finish`."""
        pictures = {"references": checked.references, "unlike": checked.unlike}
        message = {
            "query": checked.text,
            "reference": checked.reference,
            "feedback": checked.feedback,
            **pictures,
        }
        recorded = json.dumps(self.store.settings.to_dict())
        await self.store.turns.accept(self.key, {**message, "settings": recorded})
        try:
            await self._start(self._config(self.store.settings), standing)
        except Exception as error:
            if is_storage_error(error):  # refused now, it must not be answered later
                with suppress(Exception):
                    await self.withdraw()
            raise
        return await self._run(conversation, standing, message, self.store.settings, checked)

    async def finish(self, conversation: Conversation) -> tuple[Turn, dict[str, Any]]:
        """Run the turn of the pending message to its end, from the last checkpoint of it.

        Returns:
            The turn, and the state of the graph after it.

        Raises:
            BackendUnavailable: a model does not answer now; the message stays pending.
            BadInput: the turn was begun with a judge that must be named; the message stays pending.
            ImageScopeError: what else a model raises (`ModelFailed`, `Misconfigured`, ...); the message is given up,
                and a note says why.
        """
        pending = conversation.pending or {}
        message = {name: pending.get(name) for name in ("query", "reference", "feedback")}
        message |= {name: pending.get(name) or [] for name in ("references", "unlike")}
        standing = await self.store.state(conversation)
        judges = {*JUDGES, self.store.settings.judge or OWN_JUDGE}
        settings = Settings.from_record(pending.get("settings"), judges=judges)
        return await self._run(conversation, standing, message, settings, None)

    async def give_up(self, conversation: Conversation, message: Mapping[str, Any], error: Exception) -> None:
        """Forget the pending message with a note: the conversation stands as before it."""
        said, why = shorten(str(message["query"])), shorten(str(error) or type(error).__name__, 400)
        told = note("turn", "given up", f"turn {conversation.turns + 1}, {said!r}, was given up: {why}")
        await self.withdraw([told])

    async def withdraw(self, notes: list[NoteDict] | None = None) -> None:
        """Forget the pending message and the checkpoints of its turn."""
        await self.store.turns.withdraw(self.key, notes or ())
        await self.store.saver.adelete_thread(self.key)

    async def _run(
        self,
        conversation: Conversation,
        standing: Mapping[str, Any],
        message: dict[str, Any],
        settings: Settings,
        checked: CheckedMessage | None,
    ) -> tuple[Turn, dict[str, Any]]:
        config = self._config(settings)
        try:
            head = None if checked is not None else await self._head(config, conversation.turns)
            if head is None:
                if checked is None:
                    await self._start(config, standing)
                await self._stream(message, config, settings, checked)
            elif head.next not in AT_REST:
                await self._stream(None, await self._from(config, head), settings, None)
            head = await self._head(config, conversation.turns)
            if head is None or head.next not in AT_REST:
                raise ImageScopeError(f"the turn did not end; it stopped before {head and head.next}")
        except Exception as error:
            later = isinstance(error, BackendUnavailable) and not isinstance(error, LASTING)
            if not later and not is_storage_error(error):
                await self.give_up(conversation, message, error)
            raise
        return await self._write_down(conversation, standing, head.values), head.values

    async def _start(self, config: RunnableConfig, standing: Mapping[str, Any]) -> None:
        """Write what the turn begins with as its first checkpoint, before any model is asked."""
        await self.store.saver.adelete_thread(self.key)
        await self.store.graph.aupdate_state(config, overwrite(standing), as_node="answer")

    async def _write_down(
        self, conversation: Conversation, standing: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Turn:
        ended: Turn = values["turn"]
        turn: Turn = {**ended, "notes": [*conversation.notes, *ended["notes"]]}
        verdicts = found_verdicts(standing["verdicts"], values.get("verdicts", {}))
        number = conversation.turns + 1
        await self.store.turns.finish(self.key, number, turn, kept_state(values), verdicts)
        try:
            await self.store.saver.adelete_thread(self.key)
        except (
            Exception
        ) as error:  # the turn is kept; what is left of it is deleted before the next one begins
            if not is_storage_error(error):
                raise
        return turn

    async def _head(self, config: RunnableConfig, turns: int) -> StateSnapshot | None:
        """The last checkpoint of the turn after so many, as it was written; None where it is not begun.

        It is found by its step: ids of checkpoints rise with the clock, which may have been set back since. Without
        its id, writes of a step that was cut off before its checkpoint would count as done.
        """
        steps = [kept async for kept in self.store.saver.alist(_only(config))]
        if not steps:
            return None
        last = max(steps, key=lambda kept: (kept.metadata.get("step", 0), kept.checkpoint["id"]))
        snapshot: StateSnapshot = await self.store.graph.aget_state(last.config)
        ended = snapshot.next in AT_REST and snapshot.values.get("turns") == turns
        return None if ended else snapshot

    async def _from(self, config: RunnableConfig, head: StateSnapshot) -> RunnableConfig:
        """Go on from this checkpoint, which the clock may not call the newest.

        Named by its id, what a cut-off step had written already would not be reused; so only where it must be.
        """
        newest = await self.store.saver.aget_tuple(_only(config))
        if newest is None or _id(newest.config) == _id(head.config):
            return config
        return {**config, "configurable": {**config["configurable"], **head.config["configurable"]}}

    async def _stream(
        self, given: Any, config: RunnableConfig, settings: Settings, checked: CheckedMessage | None
    ) -> None:
        services = self.store.services
        config = {**config, "configurable": {**config["configurable"], PARSED: checked}}
        async with recording(place(services.collection.location), services, settings) as recorders:
            # "sync": what a step found is on disk before the next one starts, so a kill loses one step
            updates = self.store.graph.astream(
                given,
                {**config, "callbacks": [*recorders]},
                context=settings,
                stream_mode="updates",
                durability="sync",
            )
            async for update in updates:
                for name in update:
                    if self.progress is not None and not name.startswith("__"):
                        self.progress(name)

    def _config(self, settings: Settings) -> RunnableConfig:
        return run_config(self.store, self.thread, settings)


def run_config(store: ConversationStore, thread: str, settings: Settings | None = None) -> RunnableConfig:
    """The configuration of the graph while a turn runs."""
    recorded = json.dumps((settings or store.settings).to_dict())
    profile = store.services.profile
    return {
        "configurable": {"thread_id": store.key(thread)},
        "metadata": {"graph": graph_for(store.services), "profile": profile, "settings": recorded},
    }


def _id(config: RunnableConfig) -> str:
    return str(config["configurable"]["checkpoint_id"])


def _only(config: RunnableConfig) -> RunnableConfig:
    return {"configurable": {"thread_id": config["configurable"]["thread_id"], "checkpoint_ns": ""}}

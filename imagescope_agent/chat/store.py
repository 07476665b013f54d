"""The store of the conversations about a collection: turns, locks, and the graph that runs on them."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.migrations import is_current, migrate
from imagescope_agent.chat.storage.database import database_of, is_gone, is_storage_error
from imagescope_agent.chat.storage.older import Older
from imagescope_agent.chat.storage.tables import TABLES, Conversation
from imagescope_agent.chat.storage.turns import TurnTable
from imagescope_agent.common.redact import redact
from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.registry import load_graph
from imagescope_agent.runs.checkpoints import POSTGRES, ReadOnly, reading
from imagescope_agent.runs.gone import gone
from imagescope_agent.runs.locks import database_lock, file_lock
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings

FILE = "chats.sqlite"
GRAPH, PLAIN = "chat", "chat_retrieve"  # the second one for profiles without a talker
ROOM = 4 * 2**20  # bytes that the disk must have free for a turn to begin


class ConversationStore:
    """Finished turns of conversations, the graph with the checkpoints of running ones, and a lock per conversation.

    Args:
        services: what the graph is built with.
        saver: the checkpoints; the turns are kept in the same database.
        settings: for every turn.
        place: the SQLite file or PostgreSQL URL of the saver; "" for one in memory.
        read_only: why nothing can be written; "" where it can.

    Attributes:
        graph: the compiled graph.
        turns: the finished turns.
        place: as given, or "this process": for messages.
    """

    def __init__(
        self,
        services: Services,
        saver: BaseCheckpointSaver[Any],
        settings: Settings,
        place: Path | str = "",
        read_only: str = "",
    ) -> None:
        self.services, self.saver, self.settings, self.read_only = services, saver, settings, read_only
        self.graph = load_graph(graph_for(services))(services, checkpointer=saver)
        self.turns = TurnTable(database_of(saver, TABLES))
        self.older = Older(saver, self.graph, self.turns)
        self._place = str(place)
        self.place = self._place or "this process"
        self._prefix = _prefix(self._place, services.collection.location)
        # a lock lives as long as somebody holds or awaits it
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def about(self, services: Services) -> ConversationStore:
        """The same conversations with an index that was published since: one store, one lock for each of them."""
        newer = copy.copy(self)
        newer.services, newer.graph = (
            services,
            load_graph(graph_for(services))(services, checkpointer=self.saver),
        )
        newer.older = Older(self.saver, newer.graph, self.turns)
        return newer

    def key(self, thread: str) -> str:
        """The thread_id of a conversation; other collections may use the same store."""
        return self._prefix + thread

    async def setup(self) -> None:
        """Create the tables of the turns, where they are not there."""
        if not await self.turns.is_there():
            self.require_writable()
            await self.turns.setup()

    async def close(self) -> None:
        """Give the room of the last turns' checkpoints back to the disk."""
        if not self.read_only:
            with suppress(
                sqlite3.OperationalError
            ):  # another process writes for long, or the disk is full: no loss
                await self.turns.database.trim()

    def require_writable(self) -> None:
        """Make sure that a message can be kept, before any model is asked about it.

        Raises:
            ReadOnly: the store takes nothing, or its disk is full.
        """
        if self.read_only:
            raise ReadOnly(self.read_only)
        if self._place and not self._place.startswith(POSTGRES):
            disk = os.statvfs(Path(self._place).resolve().parent)
            if disk.f_bavail * disk.f_frsize < ROOM:
                raise ReadOnly(
                    f"the disk of {self._place!r} is full, and the message could not be kept; make room there"
                )

    async def find(self, thread: str) -> Conversation | None:
        """A conversation by its name; one of an older version is converted first."""
        with reading(self.place):
            key = self.key(thread)
            found = await self.turns.find(key)
            if found is None and not self.read_only and await self.older.exists(key):
                async with self.turn(thread):
                    await self.older.convert(key)
                found = await self.turns.find(key)
            return found

    async def state(self, conversation: Conversation, number: int | None = None) -> dict[str, Any]:
        """What the turn after one of a conversation needs, after the last one when None.

        Raises:
            BadInput: that is kept no more, or a newer version wrote it.
        """
        number = conversation.turns if number is None else number
        with reading(self.place):
            values = await self.turns.state(conversation.thread, number)
        if values is None:
            raise BadInput(
                f"conversation {conversation.thread.removeprefix(self._prefix)!r} does not reach back to turn "
                f"{number}; name a later one"
            )
        return values if is_current(values) else migrate(values)

    async def all(self) -> list[tuple[str, Conversation]]:
        """The conversations about this collection with their names, the last used one first."""
        with reading(self.place):
            known = await self.turns.all()
            named = [
                (each.thread.removeprefix(self._prefix), each) for each in known if self._is_ours(each.thread)
            ]
            return [*named, *await self.all_older()]

    async def all_older(self) -> list[tuple[str, Conversation]]:
        """Those that an older version kept and nobody opened since."""
        with reading(self.place):
            found = [await self.older.summary(key) for key in await self.older.keys(self._is_ours)]
        known = sorted((each for each in found if each), key=lambda each: each.about["at"], reverse=True)
        return [(each.thread.removeprefix(self._prefix), each) for each in known]

    async def exists(self, thread: str) -> bool:
        """Whether there is a conversation of that name, of any version."""
        with reading(self.place):
            key = self.key(thread)
            return await self.turns.find(key) is not None or await self.older.exists(key)

    async def delete(self, thread: str) -> None:
        """Delete a conversation, whose lock is held."""
        await self.saver.adelete_thread(self.key(thread))
        await self.turns.delete(self.key(thread))
        if self._place and not self._place.startswith(POSTGRES):
            (self._lock_folder / f"{thread}.lock").unlink(missing_ok=True)

    @asynccontextmanager
    async def turn(self, thread: str) -> AsyncIterator[None]:
        """Hold the lock of a conversation, in this process and among those that share the store.

        Raises:
            BackendUnavailable: another process holds it for too long.
        """
        local = self._locks.setdefault(thread, asyncio.Lock())
        async with local:
            if not self._place:
                yield
                return
            if self._place.startswith(POSTGRES):
                lock = database_lock(self.saver, self.key(thread))
            else:
                lock = file_lock(self._lock_folder, thread)
            try:
                async with lock:
                    yield
            except Exception as error:
                if not is_storage_error(error):
                    raise
                if is_gone(error):
                    raise gone(self._place, str(error)) from error
                raise BadInput(
                    f"the conversation in {redact(self._place)!r} cannot be kept or read: {error}"
                ) from error

    def _is_ours(self, key: str) -> bool:
        return key.startswith(self._prefix) if self._prefix else ":" not in key

    @property
    def _lock_folder(self) -> Path:
        return Path(f"{self._place}.locks") / self._prefix.removesuffix(":")


def _prefix(place: str, location: Path) -> str:
    """What precedes a thread_id: nothing in the collection's own store, else a hash of the collection's location."""
    if not place or (not place.startswith(POSTGRES) and real_path(Path(place)) == real_path(location / FILE)):
        return ""
    return hashlib.sha256(str(real_path(location)).encode()).hexdigest()[:12] + ":"


def graph_for(services: Services) -> str:
    """The name of the graph that conversations run on: without a talker nobody interprets messages."""
    return PLAIN if isinstance(services.talker.model, Absent) else GRAPH

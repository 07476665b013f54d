"""The store of the conversations about a collection: threads, locks, and the graph that runs on them."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.locks import database_lock, file_lock
from imagescope_agent.checkpoints import POSTGRES, reading
from imagescope_agent.errors import BadInput
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.untrusted import real_path

FILE = "chats.sqlite"
GRAPH = "chat"


class ConversationStore:
    """Checkpoints of conversations, the graph compiled with them, and a lock per conversation.

    Args:
        services: what the graph is built with.
        saver: the checkpoints.
        settings: for every turn.
        place: the SQLite file or PostgreSQL URL of the saver; "" for one in memory.

    Attributes:
        graph: the compiled graph.
        place: as given, or "this process": for messages.
    """

    def __init__(
        self, services: Services, saver: BaseCheckpointSaver[Any], settings: Settings, place: Path | str = ""
    ) -> None:
        self.services, self.saver, self.settings = services, saver, settings
        self.graph = load_graph(GRAPH)(services, checkpointer=saver)
        self._place = str(place)
        self.place = self._place or "this process"
        self._prefix = _prefix(self._place, services.collection.location)
        self._locks: dict[str, asyncio.Lock] = {}

    def key(self, thread: str) -> str:
        """The thread_id of a conversation; other collections may use the same store."""
        return self._prefix + thread

    async def exists(self, thread: str) -> bool:
        """Whether there is a conversation of that name."""
        with reading(self.place):
            return await self.saver.aget_tuple({"configurable": {"thread_id": self.key(thread)}}) is not None

    async def threads(self) -> list[str]:
        """The names of the conversations about this collection."""
        keys = {
            kept.config["configurable"]["thread_id"]
            async for kept in self.saver.alist(None, filter={"begun": True})
        }
        return [key.removeprefix(self._prefix) for key in keys if self._is_ours(key)]

    async def delete(self, thread: str) -> None:
        """Delete the checkpoints of a conversation, whose lock is held."""
        await self.saver.adelete_thread(self.key(thread))
        if self._place and not self._place.startswith(POSTGRES):
            (self._lock_folder / f"{thread}.lock").unlink(missing_ok=True)

    @asynccontextmanager
    async def turn(self, thread: str) -> AsyncIterator[None]:
        """Hold the lock of a conversation, in this process and among those that share the store.

        Raises:
            BackendUnavailable: another process holds it for too long.
        """
        async with self._locks.setdefault(thread, asyncio.Lock()):
            if not self._place:
                yield
                return
            if self._place.startswith(POSTGRES):
                lock = database_lock(self.saver, self.key(thread))
            else:
                lock = file_lock(self._lock_folder, thread)
            async with lock:
                try:
                    yield
                except sqlite3.Error as error:
                    raise BadInput(
                        f"the conversation in {self._place!r} cannot be kept or read: {error}"
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

"""Conversations that survive anything: say, like, reject, undo, branch, export; a cut-off turn is finished first.

async with open_chats(services) as chats:
    session = await chats.create()
    turn = await session.say("a red ball on the grass")
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.locks import database_lock, file_lock
from imagescope_agent.chat.session import GRAPH, Progress, Session, check_name, sound
from imagescope_agent.checkpoints import POSTGRES, open_store, reading
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.hear import NEW
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.untrusted import beside

__all__ = ["CHATS_VARIABLE", "FILE", "Chats", "Session", "open_chats"]

CHATS_VARIABLE = "IMAGESCOPE_CHATS"
FILE = "chats.sqlite"


@asynccontextmanager
async def open_chats(
    services: Services, *, store: Path | str | None = None, **settings: Any
) -> AsyncIterator[Chats]:
    """The conversations about a collection.

    Args:
        services: what the graph is built with.
        store: an SQLite file or a "postgresql://..." URL, which other collections may share; None is
            IMAGESCOPE_CHATS, else chats.sqlite beside the index, which moves with it.
        settings: fields of `Settings` for every turn.

    Raises:
        BadInput: an unusable store or setting.
        BackendUnavailable: the database does not answer.
    """
    place = store or os.environ.get(CHATS_VARIABLE) or beside(services.collection.location, FILE)
    async with open_store(place) as saver:
        yield Chats(services, saver, Settings.load(services.settings, **settings), place)


class Chats:
    """All conversations about one collection in one store; made by `open_chats`.

    Args:
        services: what the graph is built with.
        saver: the store.
        settings: for every turn.
        place: where the store is; "" for one that lives and dies with this process.
    """

    def __init__(
        self, services: Services, saver: BaseCheckpointSaver[Any], settings: Settings, place: Path | str = ""
    ) -> None:
        self.services, self.saver, self.settings = services, saver, settings
        self.graph = load_graph(GRAPH)(services, checkpointer=saver)
        self._place = str(place)
        self.place = self._place or "this process"
        self._scope = _scope(self._place, services.collection.location)
        self._locks: dict[str, asyncio.Lock] = {}

    async def create(self, thread: str | None = None) -> Session:
        """A new conversation.

        Raises:
            BadInput: there is one of that name, or the name is unusable.
        """
        name = check_name(thread or uuid.uuid4().hex[:12])
        session = Session(self, name)
        async with self.turn(name):
            if await self._begun(session):
                raise BadInput(f"there is a conversation {name!r} already; open it or choose another name")
            await self.graph.aupdate_state(session.config(begun=True), dict(NEW), as_node="answer")
        return session

    async def open(self, thread: str, *, progress: Progress | None = None) -> Session:
        """A conversation that was begun before, its last turn finished if it was cut off.

        Raises:
            BadInput: there is none of that name, or another profile or a newer version made it.
            BackendUnavailable: a model does not answer; opening it again goes on from there.
        """
        session = Session(self, check_name(thread))
        async with self.turn(thread):
            await session.settle(progress)
        return session

    async def get(self, thread: str, *, progress: Progress | None = None) -> Session:
        """As `open`, or `create` where there is none of that name."""
        if not await self._begun(Session(self, check_name(thread))):
            return await self.create(thread)
        return await self.open(thread, progress=progress)

    async def list(self) -> list[dict[str, Any]]:
        """Every conversation, the last used one first.

        Returns:
            {"thread", "turns": how many, "last": its last message, "at": when it was last used, ISO 8601}.
        """
        rows = []
        with reading(self.place):
            keys = {
                kept.config["configurable"]["thread_id"]
                async for kept in self.saver.alist(None, filter={"begun": True})
            }
            for thread in [key.removeprefix(self._scope) for key in keys if self._ours(key)]:
                snapshot = await self.graph.aget_state(Session(self, thread).config())
                turns = sound(snapshot.values).get("turns", [])
                last = turns[-1]["message"] if turns else ""
                at = str(snapshot.created_at or "")
                rows.append({"thread": thread, "turns": len(turns), "last": last, "at": at})
        return sorted(rows, key=lambda row: (row["at"], row["thread"]), reverse=True)

    async def delete(self, thread: str) -> None:
        """Forget a conversation.

        Raises:
            BadInput: there is none of that name.
        """
        session = Session(self, check_name(thread))
        async with self.turn(thread):
            if not await self._begun(session):
                raise BadInput(
                    f"there is no conversation {thread!r}; `imagescope chat COLLECTION --list` shows those there are"
                )
            await self.saver.adelete_thread(self.key(thread))
            if self._place and not self._place.startswith(POSTGRES):
                (self._lock_folder / f"{thread}.lock").unlink(missing_ok=True)

    async def prune(self, days: float) -> Sequence[str]:
        """Forget the conversations that were not used for so many days; their names."""
        before = datetime.now(UTC) - timedelta(days=days)
        old = [row["thread"] for row in await self.list() if datetime.fromisoformat(row["at"]) < before]
        for thread in old:
            await self.delete(thread)
        return old

    def key(self, thread: str) -> str:
        """The name of a conversation in the store, where other collections may keep theirs."""
        return self._scope + thread

    @asynccontextmanager
    async def turn(self, thread: str) -> AsyncIterator[None]:
        """One turn at a time in a conversation, in this process and among those that share the store.

        Raises:
            BackendUnavailable: another process does not come to an end.
        """
        async with self._locks.setdefault(thread, asyncio.Lock()):
            if not self._place:
                yield
                return
            if self._place.startswith(POSTGRES):
                held = database_lock(self.saver, self.key(thread))
            else:
                held = file_lock(self._lock_folder, thread)
            async with held:
                try:
                    yield
                except sqlite3.Error as error:
                    raise BadInput(
                        f"the conversation in {self._place!r} cannot be kept or read: {error}"
                    ) from error

    async def _begun(self, session: Session) -> bool:
        """Whether there is such a conversation."""
        with reading(self.place):
            return await self.saver.aget_tuple(session.config()) is not None

    def _ours(self, key: str) -> bool:
        return key.startswith(self._scope) if self._scope else ":" not in key

    @property
    def _lock_folder(self) -> Path:
        return Path(f"{self._place}.locks") / self._scope.removesuffix(":")


def _scope(place: str, location: Path) -> str:
    """What goes before a conversation's name: nothing in a collection's own store, else which collection it is."""
    if not place or (not place.startswith(POSTGRES) and Path(place).resolve() == (location / FILE).resolve()):
        return ""
    return hashlib.sha256(str(location.resolve()).encode()).hexdigest()[:12] + ":"

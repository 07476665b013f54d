"""Conversations that survive anything: say, like, reject, undo, branch, export; a cut-off turn is finished first.

async with open_chats(services) as chats:
    session = await chats.create()
    turn = await session.say("a red ball on the grass")
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.session import GRAPH, Progress, Session, check_name
from imagescope_agent.checkpoints import open_store
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.hear import NEW
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings

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
        store: an SQLite file or a "postgresql://..." URL; None is IMAGESCOPE_CHATS, else chats.sqlite beside
            the index.
        settings: fields of `Settings` for every turn.

    Raises:
        BadInput: an unusable store or setting.
        BackendUnavailable: the database does not answer.
    """
    place = store or os.environ.get(CHATS_VARIABLE) or services.collection.location / FILE
    async with open_store(place) as saver:
        yield Chats(services, saver, Settings.load(services.settings, **settings))


class Chats:
    """All conversations in one store; made by `open_chats`."""

    def __init__(self, services: Services, saver: BaseCheckpointSaver[Any], settings: Settings) -> None:
        self.services, self.saver, self.settings = services, saver, settings
        self.graph = load_graph(GRAPH)(services, checkpointer=saver)
        self._locks: dict[str, asyncio.Lock] = {}

    async def create(self, thread: str | None = None) -> Session:
        """A new conversation.

        Raises:
            BadInput: there is one of that name, or the name is unusable.
        """
        name = check_name(thread or uuid.uuid4().hex[:12])
        session = Session(self, name)
        async with session.lock:
            if await self.saver.aget_tuple(session.config()) is not None:
                raise BadInput(f"there is a conversation {name!r} already; open it or choose another name")
            await self.graph.aupdate_state(session.config(begun=True), dict(NEW), as_node="answer")
        return session

    async def open(self, thread: str, *, progress: Progress | None = None) -> Session:
        """A conversation that was begun before, its last turn finished if it was cut off.

        Raises:
            BadInput: there is none of that name, or another profile or a newer version made it.
            BackendUnavailable: a model does not answer; opening it again goes on from there.
        """
        session = Session(self, thread)
        async with session.lock:
            await session.settle(progress)
        return session

    async def get(self, thread: str, *, progress: Progress | None = None) -> Session:
        """As `open`, or `create` where there is none of that name."""
        if await self.saver.aget_tuple(Session(self, check_name(thread)).config()) is None:
            return await self.create(thread)
        return await self.open(thread, progress=progress)

    async def list(self) -> list[dict[str, Any]]:
        """Every conversation, by name: {"thread", "turns": how many, "last": its last message}."""
        threads = {
            kept.config["configurable"]["thread_id"]
            async for kept in self.saver.alist(None, filter={"begun": True})
        }
        rows = []
        for thread in sorted(threads):
            turns = (await self.graph.aget_state(Session(self, thread).config())).values.get("turns", [])
            rows.append(
                {"thread": thread, "turns": len(turns), "last": turns[-1]["message"] if turns else ""}
            )
        return rows

    async def delete(self, thread: str) -> None:
        """Forget a conversation."""
        await self.saver.adelete_thread(thread)

    def lock(self, thread: str) -> asyncio.Lock:
        """One turn at a time in a conversation."""
        return self._locks.setdefault(thread, asyncio.Lock())

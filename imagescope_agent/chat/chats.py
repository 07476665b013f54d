"""The conversations about a collection: create, open, list, delete."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.session import Progress, Session, check_name, check_state
from imagescope_agent.chat.store import FILE, ConversationStore
from imagescope_agent.checkpoints import open_store, reading
from imagescope_agent.errors import BadInput
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.untrusted import beside

CHATS_VARIABLE = "IMAGESCOPE_CHATS"


@asynccontextmanager
async def open_chats(
    services: Services, *, store: Path | str | None = None, **settings: Any
) -> AsyncIterator[Chats]:
    """Open the conversations about a collection.

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
    """All conversations about one collection in one store; made by `open_chats`, arguments as `ConversationStore`."""

    def __init__(
        self, services: Services, saver: BaseCheckpointSaver[Any], settings: Settings, place: Path | str = ""
    ) -> None:
        self.services = services
        self.store = ConversationStore(services, saver, settings, place)

    async def create(self, thread: str | None = None) -> Session:
        """A new conversation.

        Raises:
            BadInput: there is one of that name, or the name is unusable.
        """
        return await Session(self.store, check_name(thread or uuid.uuid4().hex[:12])).create()

    async def open(self, thread: str, *, progress: Progress | None = None) -> Session:
        """An existing conversation; an interrupted last turn is finished first.

        Raises:
            BadInput: there is none of that name, or another profile or a newer version made it.
            BackendUnavailable: a model does not answer; opening it again goes on from there.
        """
        session = Session(self.store, check_name(thread))
        async with self.store.turn(thread):
            await session.settle(progress)
        return session

    async def get(self, thread: str, *, progress: Progress | None = None) -> Session:
        """As `open`, or `create` where there is none of that name."""
        if not await self.store.exists(check_name(thread)):
            return await self.create(thread)
        return await self.open(thread, progress=progress)

    async def list(self) -> list[dict[str, Any]]:
        """Every conversation, the last used one first.

        Returns:
            {"thread", "turns": how many, "first": its first message, "last": its last, "at": when it was last used,
            ISO 8601}.
        """
        rows = []
        with reading(self.store.place):
            for thread in await self.store.threads():
                snapshot = await self.store.graph.aget_state(Session(self.store, thread).config())
                turns = check_state(snapshot.values).get("turns", [])
                first, last = (turns[0]["message"], turns[-1]["message"]) if turns else ("", "")
                at = str(snapshot.created_at or "")
                rows.append({"thread": thread, "turns": len(turns), "first": first, "last": last, "at": at})
        return sorted(rows, key=lambda row: (row["at"], row["thread"]), reverse=True)

    async def delete(self, thread: str) -> None:
        """Delete a conversation.

        Raises:
            BadInput: there is none of that name.
        """
        async with self.store.turn(check_name(thread)):
            if not await self.store.exists(thread):
                raise BadInput(
                    f"there is no conversation {thread!r}; `imagescope chat COLLECTION --list` shows those there are"
                )
            await self.store.delete(thread)

    async def prune(self, days: float) -> Sequence[str]:
        """Delete the conversations that were not used for so many days; their names."""
        before = datetime.now(UTC) - timedelta(days=days)
        old = [row["thread"] for row in await self.list() if datetime.fromisoformat(row["at"]) < before]
        for thread in old:
            await self.delete(thread)
        return old

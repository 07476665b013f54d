"""The conversations about a collection: create, open, list, delete."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from imagescope_agent.chat.session import Session, check_name
from imagescope_agent.chat.store import FILE, ConversationStore
from imagescope_agent.chat.turn_runner import Progress
from imagescope_agent.common.untrusted import beside
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import ReadOnly, open_readable, open_store, reading
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings

CHATS_VARIABLE = "IMAGESCOPE_CHATS"


@asynccontextmanager
async def open_chats(
    services: Services, *, store: Path | str | None = None, **settings: Any
) -> AsyncIterator[Chats]:
    """Open the conversations about a collection; in a place that takes nothing, for reading.

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
    loaded, read_only = Settings.load(services.settings, **settings), ""
    async with AsyncExitStack() as stack:
        try:
            saver = await stack.enter_async_context(open_store(place))
        except ReadOnly as error:
            saver, read_only = await stack.enter_async_context(open_readable(Path(place), error)), str(error)
        chats = Chats(services, saver, loaded, place, read_only)
        await chats.store.setup()
        yield chats
        await chats.store.close()


class Chats:
    """All conversations about one collection in one store; made by `open_chats`, arguments as `ConversationStore`."""

    def __init__(
        self,
        services: Services,
        saver: BaseCheckpointSaver[Any],
        settings: Settings,
        place: Path | str = "",
        read_only: str = "",
    ) -> None:
        self.services = services
        self.store = ConversationStore(services, saver, settings, place, read_only)

    async def create(self, thread: str | None = None) -> Session:
        """A new conversation.

        Raises:
            BadInput: there is one of that name, or the name is unusable.
        """
        return await Session(self.store, check_name(thread or uuid.uuid4().hex[:12])).create()

    async def open(self, thread: str, *, progress: Progress | None = None) -> Session:
        """An existing conversation; an interrupted last turn is finished first, where the models answer.

        Raises:
            BadInput: there is none of that name, or another profile or a newer version made it.
        """
        session = Session(self.store, check_name(thread))
        await session.settle(progress)
        return session

    async def get(self, thread: str, *, progress: Progress | None = None) -> Session:
        """As `open`, or `create` where there is none of that name."""
        if await self.store.find(check_name(thread)) is None:
            try:
                return await self.create(thread)
            except BadInput:
                if await self.store.find(thread) is None:  # else another process was faster
                    raise
        return await self.open(thread, progress=progress)

    async def list(self) -> list[dict[str, Any]]:
        """Every conversation, the last used one first.

        Returns:
            {"thread", "turns": how many, "first" and "last": messages, "at": when it was last used, ISO 8601,
            "parent": {"thread", "turn"} that it was branched from, or None}.
        """
        return [
            {
                "thread": thread,
                "turns": each.turns,
                **{name: str(each.about.get(name, "")) for name in ("first", "last", "at")},
                "parent": each.about.get("parent"),
            }
            for thread, each in await self.store.all()
        ]

    async def compact(self) -> tuple[int, int, int]:
        """Convert the conversations of older versions, and give free room back to the disk.

        Returns:
            How many were converted, and the bytes of the store before and after.
        """
        self.store.require_writable()
        database = self.store.turns.database
        before = await database.size(free=True)
        older = [thread for thread, _ in await self.store.all_older()]
        for thread in older:
            await self.store.find(thread)
        await database.shrink()
        return len(older), before, await database.size(free=True)

    async def delete(self, thread: str) -> None:
        """Delete a conversation.

        Raises:
            BadInput: there is none of that name.
        """
        self.store.require_writable()
        async with self.store.turn(check_name(thread)):
            if not await self.store.exists(thread):
                raise BadInput(
                    f"there is no conversation {thread!r}; `imagescope chat COLLECTION --list` shows those there are"
                )
            await self.store.delete(thread)

    async def prune(self, days: float) -> Sequence[str]:
        """Delete the conversations that were not used for so many days; their names."""
        before = datetime.now(UTC) - timedelta(days=days)
        with reading(self.store.place):
            old = [row["thread"] for row in await self.list() if datetime.fromisoformat(row["at"]) < before]
        for thread in old:
            await self.delete(thread)
        return old

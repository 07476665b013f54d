"""The conversations of one browser, where a page is used by many people; each has names that begin with its own."""

from __future__ import annotations

import uuid
from typing import Any

from imagescope_agent.chat import Chats, Session
from imagescope_agent.chat.session import Progress
from imagescope_agent.errors import BadInput


class Own:
    """What a browser may see and go on with.

    Args:
        chats: everybody's.
        browser: a name that nobody else can give; None for one who sees all of them.
    """

    def __init__(self, chats: Chats, browser: str | None) -> None:
        if browser == "":
            raise BadInput("this browser sends no cookie; allow this page's cookies and load it again")
        self._chats, self._mine = chats, "" if browser is None else f"{browser}-"

    async def create(self) -> Session:
        """A new conversation."""
        return await self._chats.create(self._name())

    async def open(self, thread: str | None, *, progress: Progress | None = None) -> Session:
        """As `Chats.open`.

        Raises:
            BadInput: there is none of that name, or it is another's.
        """
        if not thread:
            raise BadInput("nothing was said yet; say what to look for")
        if not str(thread).startswith(self._mine):
            raise BadInput(f"there is no conversation {str(thread)[:64]!r}; begin one")
        return await self._chats.open(str(thread), progress=progress)

    async def branch(self, session: Session, turn: int | None) -> Session:
        """As `Session.branch`."""
        return await session.branch(turn, thread=self._name())

    async def list(self) -> list[dict[str, Any]]:
        """As `Chats.list`."""
        return [row for row in await self._chats.list() if row["thread"].startswith(self._mine)]

    def _name(self) -> str:
        return self._mine + uuid.uuid4().hex[:12]

"""The conversations of one user of a shared page: their names begin with the id of the user, or of their browser."""

from __future__ import annotations

import uuid
from typing import Any

from imagescope_agent.chat.chats import Chats
from imagescope_agent.chat.session import Session
from imagescope_agent.chat.titles import branch_name
from imagescope_agent.chat.turn_runner import Progress
from imagescope_agent.errors import BadInput


class UserChats:
    """The conversations that a user may see and continue.

    Args:
        chats: those of all users.
        user: an id that nobody else can send (`browser_of`, `user_id`); None gives access to all.
    """

    def __init__(self, chats: Chats, user: str | None) -> None:
        if user == "":
            raise BadInput("this browser sends no cookie; allow this page's cookies and load it again")
        self._chats, self._prefix = chats, "" if user is None else f"{user}-"

    async def create(self) -> Session:
        """A new conversation."""
        return await self._chats.create(self._prefix + uuid.uuid4().hex[:12])

    async def open(self, thread: str | None, *, progress: Progress | None = None) -> Session:
        """As `Chats.open`.

        Raises:
            BadInput: there is none of that name, or it is another user's.
        """
        if not thread:
            raise BadInput("nothing was said yet; say what to look for")
        if not str(thread).startswith(self._prefix):
            raise BadInput(f"there is no conversation {str(thread)[:64]!r}; begin one")
        return await self._chats.open(str(thread), progress=progress)

    async def branch(self, session: Session, turn: int | None) -> Session:
        """As `Session.branch`."""
        return await session.branch(
            turn, thread=branch_name(session.thread)
        )  # begins as this one: the same user's

    async def list(self) -> list[dict[str, Any]]:
        """As `Chats.list`."""
        return [row for row in await self._chats.list() if row["thread"].startswith(self._prefix)]

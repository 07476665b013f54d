"""Play a story on the conversations of a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from imagescope_agent.chat import Chats, open_chats


def play(services: Any, story: Callable[[Chats], Awaitable[Any]], **options: Any) -> Any:
    async def played() -> Any:
        async with open_chats(services, **options) as chats:
            return await story(chats)

    return asyncio.run(played())


def calls(turn: Any) -> dict[str, int]:
    return {entry["step"]: entry["calls"] for entry in turn["usage"] if entry["calls"]}


def first(turn: Any) -> str:
    return str(turn["results"][0]["id"])

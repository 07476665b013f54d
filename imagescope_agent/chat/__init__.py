"""Conversations that survive a crash: say, like, reject, undo, branch, export.

async with open_chats(services) as chats:
    session = await chats.create()
    turn = await session.say("a red ball on the grass")
"""

from imagescope_agent.chat.chats import CHATS_VARIABLE, Chats, open_chats
from imagescope_agent.chat.session import Session
from imagescope_agent.chat.store import FILE

__all__ = ["CHATS_VARIABLE", "FILE", "Chats", "Session", "open_chats"]

"""Run by test_page.py: the page about a world of coloured squares, its models scripted.

python -m tests.browser.serve FOLDER PORT [PASSWORD|FILE OF USERS]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from imagescope_agent.chat import open_chats
from imagescope_agent.chat.access_control import read_users
from imagescope_agent.chat.server import Password, serve
from tests.chat.talk import talking
from tests.conftest import World


async def main(world: World, port: int, password: Password) -> None:
    async with open_chats(talking(world)) as chats:
        await serve(chats, port=port, password=password)


if __name__ == "__main__":
    given = sys.argv[3] if len(sys.argv) > 3 else None
    password = read_users(Path(given)) if given and Path(given).is_file() else given
    asyncio.run(main(World(Path(sys.argv[1])), int(sys.argv[2]), password))

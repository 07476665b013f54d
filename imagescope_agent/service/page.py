"""The page of `imagescope ui` on the application of a service, with the key of its collection as the password."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from importlib.util import find_spec

from fastapi import FastAPI

from imagescope_agent.chat.web.server import make_app
from imagescope_agent.errors import MissingExtra
from imagescope_agent.service.collections import ServedCollection


def place_of(name: str) -> str:
    """Where the page of a collection is."""
    return "/ui/" + re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)


def require_extra() -> None:
    """Make sure that the page can be made.

    Raises:
        MissingExtra: without the extra `ui`.
    """
    if find_spec("gradio") is None:
        raise MissingExtra("the page needs an extra: pip install 'imagescope-agent[ui]'")


async def mount_page(app: FastAPI, served: ServedCollection, host: str, stack: AsyncExitStack) -> None:
    """Put the page of a collection under /ui/NAME; its conversations are open.

    Args:
        app: the service.
        served: the collection.
        host: the address that the service listens on.
        stack: ends the page with the service.
    """
    if served.chats is None:
        raise RuntimeError("the conversations must be open before their page is made")
    page = make_app(served.chats, host=host, password=served.key or None)
    served.page = page.state.page
    app.mount(place_of(served.name), page)
    await stack.enter_async_context(page.router.lifespan_context(page))

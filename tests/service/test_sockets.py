"""An answer on a kept connection is sent at once, not held back until the client has acknowledged its first part."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvicorn
from fastapi import FastAPI

from imagescope_agent.service.app import listen


def test_answers_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []

    async def serve(_: uvicorn.Server, sockets: list[socket.socket]) -> None:
        with sockets[0] as listening:
            listening.listen()
            with socket.create_connection(listening.getsockname()), listening.accept()[0] as connection:
                accepted.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    asyncio.run(listen(FastAPI(), port=0, ready=lambda _: None))
    assert accepted == [1]

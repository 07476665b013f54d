"""An answer on a kept connection is sent at once, not held back until the client has acknowledged its first part."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
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


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_address_that_is_told_can_be_asked(host: str, shown: str) -> None:
    async def asked() -> tuple[str, int]:
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(listen(FastAPI(), host=host, port=0, ready=told.set_result))
        try:
            waited: set[asyncio.Future[Any]] = {told, serving}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            async with httpx.AsyncClient(trust_env=False) as client:
                return told.result(), (await client.get(told.result())).status_code
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    address, status = asyncio.run(asked())
    assert address.startswith(f"http://{shown}:") and status == 200


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True

"""The HTTP service: its routes together, one way to answer errors, limits in front."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from imagescope_agent.chat import open_chats
from imagescope_agent.chat.web.server import is_loopback
from imagescope_agent.common.versions import installed_versions
from imagescope_agent.errors import BadInput, ImageScopeError
from imagescope_agent.runs.connections import kept_connections
from imagescope_agent.service.admission import RETRY_AFTER, AdmissionQueue, ClientGone
from imagescope_agent.service.collections import Collections, ServedCollection
from imagescope_agent.service.context import Service
from imagescope_agent.service.interface import describe_interface
from imagescope_agent.service.limits import BodyLimit, HeadRequests
from imagescope_agent.service.metrics import Metrics
from imagescope_agent.service.page import mount_page, require_extra
from imagescope_agent.service.problems import told
from imagescope_agent.service.reload import keep_current
from imagescope_agent.service.routes import images, rerank, runs, search, status, threads, uploads

ROUTERS = (
    status.router,
    search.router,
    rerank.router,
    threads.router,
    images.router,
    uploads.router,
    runs.router,
)
HOST = "127.0.0.1"
LOCAL = ["127.0.0.1", "localhost", "[::1]"]
BODY = 32 * 2**20  # bytes of a request


def create_app(  # half of it tells arguments
    served: Sequence[ServedCollection],
    *,
    host: str = HOST,
    running: int = 2,
    waiting: int = 64,
    timeout: float = 300.0,
    chats: str | None = None,
    ui: bool = False,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        served: its collections, at least one.
        host: the address it listens on; on this machine only, requests that name another host are refused, so that
            no web page reaches the service by a name of its own.
        running: how many requests ask models at a time.
        waiting: how many more may wait; the next one is answered 429.
        timeout: seconds that a request may take.
        chats: where conversations are kept, as in `imagescope chat --store`.
        ui: whether each collection has its web page, under /ui/NAME.

    Raises:
        BadInput: no collections, or two of the same name.
        MissingExtra: the page is wanted without the extra `ui`.
    """
    if not served:
        raise BadInput("there is nothing to serve; name at least one indexed folder")
    if ui:
        require_extra()
    queue = AdmissionQueue(running, waiting, timeout)
    service = Service(collections=Collections([*served]), queue=queue, metrics=Metrics(queue))
    service.metrics.watch_models(service.collections.models)
    version = installed_versions(["imagescope-agent"]).get("imagescope-agent", "0")
    app = FastAPI(title="ImageScope Agent", version=version, lifespan=_lifespan(service, chats, host, ui))
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router)
    for kind in (ImageScopeError, ClientGone, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer_error)
    describe_interface(app)
    app.add_middleware(HeadRequests)
    app.add_middleware(BodyLimit, most=BODY)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, host])
    return app


def _lifespan(
    service: Service, place: str | None, host: str, ui: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Keeps the conversations of all collections open while the service runs, and their indices current."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with kept_connections(), AsyncExitStack() as stack:
            for each in service.collections.by_name.values():
                each.chats = await stack.enter_async_context(open_chats(each.services, store=place))
                if ui:
                    await mount_page(app, each, host, stack)
            current = asyncio.ensure_future(keep_current(service))
            service.ready = True
            try:
                yield
            finally:
                service.ready = False
                current.cancel()

    return lifespan


def base_url(host: str, port: int) -> str:
    """What clients are given; an IPv6 address is in brackets there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def listen(app: FastAPI, *, host: str = HOST, port: int = 8000, ready: Callable[[str], None]) -> None:
    """Serve until the process is told to stop; `ready` gets the address once the port listens.

    Raises:
        BadInput: the port is taken.
    """
    import uvicorn

    config = uvicorn.Config(app, host=host, port=port, log_level="error", timeout_graceful_shutdown=5)
    try:
        listening = config.bind_socket()
    except SystemExit as error:  # which is how it says that the port is taken
        raise BadInput(f"cannot listen on {host}, port {port}; choose another with --port") from error
    # an answer is written in two parts; asyncio sends the second at once only for sockets that name their protocol
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(base_url(host, listening.getsockname()[1]) + "/docs")

    with listening:  # which uvicorn leaves open where it is cancelled
        await Server(config).serve(sockets=[listening])


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    """One line, without what is inside this machine."""
    service: Service = request.app.state.service
    status_code, kind, message = told(error, service.collections, request.headers.get("content-type", ""))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status_code in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER)
    service.metrics.finished(request, kind)
    return JSONResponse({"error": {"type": kind, "message": message}}, status_code, headers)

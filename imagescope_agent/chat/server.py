"""The server of `imagescope ui`: this machine only unless told otherwise, bounded in what it takes and serves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagescope_agent.chat.access_control import AccessControl, App, Receive, Scope, Send, refuse
from imagescope_agent.common.untrusted import parse_json, real_path
from imagescope_agent.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from fastapi import FastAPI

    from imagescope_agent.chat.chats import Chats

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before it is imported anywhere

Password = str | Mapping[str, str] | None
PASSWORD_VARIABLE = "IMAGESCOPE_PASSWORD"
HOST, PORT = "127.0.0.1", 7860
MAX_UPLOAD = 20 * 2**20  # bytes of one picture
MAX_BODY = MAX_UPLOAD + 2**20  # bytes of a request that brings it
MAX_MESSAGE = 2**20  # bytes of any other request
MAX_DEPTH = 32  # of the JSON in it; the page's own is eight deep
MAX_WAITING = 2**30  # bytes of all uploads that Gradio has not deleted yet
MAX_FILES = 20_000  # of them
#: The browser refuses requests to other machines, whatever a page contains.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
#: Gradio serves the page alone: no files, no other interfaces, no error details.
PAGE_ONLY: dict[str, Any] = {
    "allowed_paths": [],
    "footer_links": [],
    "run_history": False,
    "enable_monitoring": False,
    "ssr_mode": False,
    "mcp_server": False,
    "pwa": False,
    "show_error": False,
}

GRACE = 3  # seconds that open pages, which never hang up by themselves, may delay the end of the server


async def serve(  # a third of it tells arguments and errors
    chats: Chats,
    *,
    host: str = HOST,
    port: int = PORT,
    password: Password = None,
    listening: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the page until it is stopped.

    Args:
        chats: the conversations.
        host: the address to listen on.
        port: 0 for any that is free.
        password: that visitors must give, one for all or one for each name; None for no question.
        listening: called once with the page's address, when a browser can open it.

    Raises:
        BadInput: another machine could reach it and there is no password, or the port is taken.
        MissingExtra: without the extra `ui`.
    """
    check_address(host, password)
    app = make_app(chats, host=host, port=port, password=password)
    import uvicorn

    # an address that a header claims is none: guesses of a password are counted by address
    config = uvicorn.Config(
        app, host=host, port=port, log_level="error", proxy_headers=False, timeout_graceful_shutdown=GRACE
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                taken = self.servers[0].sockets[0].getsockname()[1]
                listening(f"http://{f'[{host}]' if ':' in host else host}:{taken}")

    server = Server(config)
    try:
        await server.serve()
    except SystemExit as error:  # uvicorn ends the process where it cannot listen
        raise BadInput(f"cannot listen on {host}, port {port}; choose another with --port") from error


def make_app(  # what stands before what, in one view
    chats: Chats, *, host: str = HOST, port: int = PORT, password: Password = None
) -> FastAPI:
    """The application: the page behind its middleware; arguments as `serve`.

    Raises:
        MissingExtra: without the extra `ui`.
    """
    try:
        import gradio
        from fastapi import FastAPI
        from gradio.utils import get_upload_folder
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise MissingExtra("the page needs an extra: pip install 'imagescope-agent[ui]'") from error
    from imagescope_agent.chat.access_control import password_check
    from imagescope_agent.chat.html import COLOURS, STYLE, sign_in_words
    from imagescope_agent.chat.page import Page
    from imagescope_agent.chat.pictures import add_picture_routes

    app = FastAPI(openapi_url=None)
    add_picture_routes(app, chats.services.collection)
    gradio.mount_gradio_app(
        app,
        Page(chats, apart=password is not None, named=isinstance(password, Mapping)).blocks(),
        path="/",
        server_name=host,
        server_port=port,
        auth=None if password is None else password_check(password),
        auth_message=sign_in_words(named=isinstance(password, Mapping)),
        max_file_size=MAX_UPLOAD,
        css=STYLE,
        theme=gradio.themes.Soft(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ).set(**COLOURS),
        **PAGE_ONLY,
    )
    if is_loopback(host):  # a page elsewhere cannot reach this one under a name of its own
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", "::1", host]
        )
    app.add_middleware(RequestLimits, uploads=Path(get_upload_folder()))
    app.add_middleware(AccessControl, signed_in=None if password is None else _signed_in(app))
    return app


def _signed_in(app: FastAPI) -> Callable[[dict[str, str]], bool]:
    """Whether cookies hold a token that Gradio gave to somebody who knew the password."""
    from gradio.routes import App as Gradio

    page = next(found for route in app.routes if isinstance(found := getattr(route, "app", None), Gradio))
    names = [f"access-token-{kind}{page.cookie_id}" for kind in ("", "unsecure-")]
    return lambda cookies: any(cookies.get(name) in page.tokens for name in names if cookies.get(name))


class RequestLimits:
    """ASGI middleware: limits sizes, refuses messages that name files, adds the headers of the content policy.

    Args:
        app: the application behind it.
        uploads: the only folder whose files a message may name; Gradio checks that in apps of its own only.
    """

    def __init__(self, app: App, uploads: Path) -> None:
        self.app, self.uploads, self._coming = app, real_path(uploads), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        form = headers.get(b"content-type", b"").startswith(b"multipart/")
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers:
            await refuse(send, 411, "say how long the request is")
        elif not (length.isdigit() and len(length) < 12) or int(length) > (MAX_BODY if form else MAX_MESSAGE):
            await refuse(send, 413, "too large")
        elif form:
            await self._take(int(length), scope, receive, send)
        else:
            body = await _body(receive, MAX_MESSAGE)
            if body is None:
                await refuse(send, 413, "too large")
            elif body and _is_message(headers) and not self._plain(body):
                await refuse(send, 403, "a message may name no file that was not uploaded")
            else:
                await self.app(scope, _replay(body, receive), _with_headers(send))

    async def _take(self, length: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on an upload if the total of stored and concurrent uploads stays within the limit."""
        size, files = await asyncio.to_thread(_used, self.uploads)
        if size + self._coming + length > MAX_WAITING or files >= MAX_FILES:
            await refuse(send, 507, "too many pictures were uploaded; try again tomorrow")
            return
        self._coming += length
        try:
            await self.app(scope, receive, _with_headers(send))
        finally:
            self._coming -= length

    def _plain(self, body: bytes) -> bool:
        """Whether a message names uploaded files only; unreadable JSON does not."""
        try:
            return all(self._uploaded(path) for path in _paths(parse_json(body, deepest=MAX_DEPTH)))
        except ValueError:
            return False

    def _uploaded(self, path: object) -> bool:
        try:
            return isinstance(path, str) and real_path(Path(path)).is_relative_to(self.uploads)
        except (OSError, ValueError):
            return False


def _paths(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)


def _is_message(headers: dict[bytes, bytes]) -> bool:
    """Whether a body may be read as JSON; a password comes as a form."""
    return not headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")


def _used(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below a folder."""
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                sizes.append(os.lstat(os.path.join(place, name)).st_size)
    return sum(sizes), len(sizes)


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None where it is longer than `most` bytes."""
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that replays a body that was read, then continues."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Any:
        return waiting.pop() if waiting else await receive()

    return received


def _with_headers(send: Send) -> Send:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS.items()]}
        await send(message)

    return sent


def check_address(host: str, password: Password) -> None:
    """Refuse an address that other machines can reach without a password.

    Raises:
        BadInput: other machines can, and there is no password.
    """
    if not is_loopback(host) and not password:
        raise BadInput(
            f"at {host!r} other machines could see the collection; "
            f"set a password in {PASSWORD_VARIABLE}, give --users, or leave --host out"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

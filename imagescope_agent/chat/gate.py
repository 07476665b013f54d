"""Who may ask the page's server anything: no other site, nobody without the password, and guesses only slowly."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BROWSER = "imagescope-browser"  # cookie that tells the browsers of one page apart
_BROWSER_ID = re.compile(r"[0-9a-f]{32}")
_KEPT = 365 * 24 * 3600  # seconds
READING = ("GET", "HEAD", "OPTIONS")
#: What the page that asks for the password is made of; everything else needs it.
OPEN = re.compile(
    r"/|/(?:static|assets|svelte)/.*|/(?:gradio_api/)?theme\.css|/(?:favicon\.ico|robots\.txt|manifest\.json)"
)
CLOSED = ("/openapi.json", "/docs", "/redoc")  # the page is served and nothing beside it


class Guesses:
    """Wrong passwords by address: the first few are free, then each makes the next wait twice as long.

    Args:
        clock: seconds.
    """

    FREE, LONGEST, KNOWN = 3, 60.0, 4096  # guesses, seconds, addresses

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """How many seconds the address must wait before its next guess."""
        return max(0.0, self._made.get(address, (0, 0.0))[1] - self._clock())

    def made(self, address: str) -> None:
        """One more guess; those that are forgotten first were made longest ago."""
        count = self._made.pop(address, (0, 0.0))[0] + 1
        pause = 0.0 if count < self.FREE else min(self.LONGEST, 2.0 ** min(count - self.FREE, 10))
        self._made[address] = (count, self._clock() + pause)
        while len(self._made) > self.KNOWN:
            self._made.popitem(last=False)

    def right(self, address: str) -> None:
        """The last guess was right."""
        self._made.pop(address, None)


class Gate:
    """Stands before everything else of the page.

    Args:
        app: what is guarded.
        signed_in: whether cookies are those of somebody who gave the password; None where there is no password.
        guesses: of passwords.
    """

    def __init__(
        self, app: App, signed_in: Callable[[dict[str, str]], bool] | None, guesses: Guesses | None = None
    ) -> None:
        self.app, self.signed_in, self.guesses = app, signed_in, guesses or Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        cookies, path = cookies_of(headers.get(b"cookie", "")), scope["path"]
        if path.rstrip("/") in CLOSED:
            await refuse(send, 404, "there is no such page")
        elif scope["method"] not in READING and is_foreign(headers):
            await refuse(send, 403, "another site may not ask this page anything")
        elif self.signed_in is None:
            await self.app(scope, receive, send)
        elif path.rstrip("/") == "/login" and scope["method"] == "POST":
            await self._sign_in(scope, receive, send)
        elif not (scope["method"] in READING and OPEN.fullmatch(path)) and not self.signed_in(cookies):
            await refuse(send, 401, "say the password first")
        else:
            new = path == "/" and not browser_of(cookies)
            await self.app(scope, receive, _naming(send) if new else send)

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope)
        if pause := self.guesses.wait(address):
            await refuse(send, 429, f"too many guesses; wait {pause:.0f} seconds", retry=pause)
            return
        self.guesses.made(address)  # before it is looked at, so that many at once gain nothing

        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.guesses.right(address)
            await send(message)

        await self.app(scope, receive, heard)


def cookies_of(header: str) -> dict[str, str]:
    """A browser's cookies by name."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def browser_of(cookies: dict[str, str]) -> str:
    """A short name for the browser that sends these cookies, from which nobody can make the cookie; "" for none."""
    given = cookies.get(BROWSER, "")
    return hashlib.sha256(given.encode()).hexdigest()[:12] if _BROWSER_ID.fullmatch(given) else ""


def is_foreign(headers: dict[bytes, str]) -> bool:
    """Whether a browser says that another site makes this request; what is no browser says nothing."""
    if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get(b"host", "").lower()


def address_of(scope: Scope) -> str:
    """Whose guesses are counted together: an IPv4 address, or the network of an IPv6 one."""
    host = str((scope.get("client") or ("", 0))[0])
    try:
        parsed = ip_address(host)
    except ValueError:
        return host
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) and not parsed.ipv4_mapped else host


async def refuse(send: Send, status: int, why: str, *, retry: float = 0.0) -> None:
    """Answer that something is not done."""
    headers = [(b"connection", b"close"), (b"content-type", b"text/plain; charset=utf-8")]
    if retry:
        headers.append((b"retry-after", str(int(retry) + 1).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})


def _naming(send: Send) -> Send:
    """Give the browser that gets this answer a name of its own."""
    cookie = f"{BROWSER}={secrets.token_hex(16)}; Max-Age={_KEPT}; Path=/; HttpOnly; SameSite=Strict"

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), (b"set-cookie", cookie.encode())]}
        await send(message)

    return sent

"""Access control of the page: same-origin requests, password, rate-limited sign-in."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imagescope_agent.errors import BadInput

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BROWSER = "imagescope-browser"  # cookie with the id of a browser
_BROWSER_ID = re.compile(r"[0-9a-f]{32}")
_KEPT = 365 * 24 * 3600  # seconds
READING = ("GET", "HEAD", "OPTIONS")
#: Paths of the sign-in page; all others need the password.
OPEN = re.compile(
    r"/|/(?:static|assets|svelte)/.*|/(?:gradio_api/)?theme\.css|/(?:favicon\.ico|robots\.txt|manifest\.json)"
)
CLOSED = ("/openapi.json", "/docs", "/redoc")  # FastAPI's own pages


def read_users(file: Path) -> dict[str, str]:
    """The password of each user: lines "name:password"; empty ones and those that begin with "#" are left out.

    Raises:
        BadInput: the file cannot be read, a line is no such line, a name comes twice, or there is none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the users in {str(file)!r}; give a text file") from error
    users: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, _, password = (part.strip() for part in line.partition(":"))
        if not line.strip() or line.startswith("#"):
            continue
        if not name or not password or name in users:
            raise BadInput(f"line {number} of {str(file)!r} must be name:password, with a name of its own")
        users[name] = password
    if not users:
        raise BadInput(f"there is no user in {str(file)!r}; write name:password, a line each")
    return users


def password_check(known: str | Mapping[str, str]) -> Callable[[str, str], bool]:
    """Whether a name and a password belong together; passwords are compared in constant time.

    Args:
        known: one password with any name, or the password of each name.
    """
    nobody = secrets.token_hex(32)  # what an unknown name is compared with

    def right(user: str, given: str) -> bool:
        expected = known if isinstance(known, str) else known.get(user, nobody)
        return hmac.compare_digest(
            given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
        )

    return right


class SignInLimiter:
    """Exponential back-off of wrong passwords by address, after a few free attempts.

    Args:
        clock: seconds.
    """

    FREE, LONGEST, KNOWN = 3, 60.0, 4096  # attempts, seconds, addresses

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """How many seconds the address must wait before its next attempt."""
        return max(0.0, self._failed.get(address, (0, 0.0))[1] - self._clock())

    def failed(self, address: str) -> None:
        """Count a failed attempt; the addresses used longest ago are dropped first."""
        count = self._failed.pop(address, (0, 0.0))[0] + 1
        pause = 0.0 if count < self.FREE else min(self.LONGEST, 2.0 ** min(count - self.FREE, 10))
        self._failed[address] = (count, self._clock() + pause)
        while len(self._failed) > self.KNOWN:
            self._failed.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the attempts of an address that signed in."""
        self._failed.pop(address, None)


class AccessControl:
    """ASGI middleware in front of the page: refuses requests from other sites and from users without the password.

    Args:
        app: the application behind it.
        signed_in: whether cookies belong to a session that gave the password; None where there is no password.
        limiter: of wrong passwords.
    """

    def __init__(
        self,
        app: App,
        signed_in: Callable[[dict[str, str]], bool] | None,
        limiter: SignInLimiter | None = None,
    ) -> None:
        self.app, self.signed_in, self.limiter = app, signed_in, limiter or SignInLimiter()

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
            await self.app(scope, receive, _with_browser_cookie(send) if new else send)

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope)
        if pause := self.limiter.wait(address):
            await refuse(send, 429, f"too many guesses; wait {pause:.0f} seconds", retry=pause)
            return
        self.limiter.failed(address)  # before it is checked, so that concurrent attempts gain nothing

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.limiter.succeeded(address)
            await send(message)

        await self.app(scope, receive, observe)


def cookies_of(header: str) -> dict[str, str]:
    """A browser's cookies by name."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def browser_of(cookies: dict[str, str]) -> str:
    """A short id of the browser that sends these cookies, a hash of its secret cookie; "" for none."""
    given = cookies.get(BROWSER, "")
    return hashlib.sha256(given.encode()).hexdigest()[:12] if _BROWSER_ID.fullmatch(given) else ""


def user_id(name: str) -> str:
    """A short id of a user with a password of their own, whatever browser they use; no browser has that id."""
    return f"u{hashlib.sha256(name.encode()).hexdigest()[:11]}"


def is_foreign(headers: dict[bytes, str]) -> bool:
    """Whether a browser marks the request as made by another site; other clients send no such mark."""
    if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get(b"host", "").lower()


def address_of(scope: Scope) -> str:
    """The key of rate limiting: an IPv4 address, or the /64 network of an IPv6 one."""
    host = str((scope.get("client") or ("", 0))[0])
    try:
        parsed = ip_address(host)
    except ValueError:
        return host
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) and not parsed.ipv4_mapped else host


async def refuse(send: Send, status: int, why: str, *, retry: float = 0.0) -> None:
    """Refuse a request."""
    headers = [(b"connection", b"close"), (b"content-type", b"text/plain; charset=utf-8")]
    if retry:
        headers.append((b"retry-after", str(int(retry) + 1).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})


def _with_browser_cookie(send: Send) -> Send:
    """Set the cookie that identifies the browser."""
    cookie = f"{BROWSER}={secrets.token_hex(16)}; Max-Age={_KEPT}; Path=/; HttpOnly; SameSite=Strict"

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), (b"set-cookie", cookie.encode())]}
        await send(message)

    return sent

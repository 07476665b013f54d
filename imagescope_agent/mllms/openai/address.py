"""Where a server is, and the secrets that lead there; these appear in no message, record or representation."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import httpx

from imagescope_agent.common.redact import split_addresses
from imagescope_agent.errors import Misconfigured

HIDDEN = "[hidden]"
_LOGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<login>[^/?#]*)@(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_SHORTEST = 4  # characters; a shorter secret would hide ordinary words of a message


def split_login(url: str) -> tuple[str, str]:
    """An address without its user and password, and these two as they stood ("user:password" or "")."""
    found = _LOGIN.match(url)
    return (found["scheme"] + found["rest"], found["login"]) if found else (url, "")


def split_logins(given: object) -> tuple[list[str], list[str]]:
    """Addresses without user and password, and these, of a list or of a text with commas between several.

    One that is named twice is one server.
    """
    listed = given if isinstance(given, list) else [given]
    texts = [text for each in listed for text in split_addresses(str(each))]
    found: dict[str, tuple[str, str]] = {}
    for url, login in map(split_login, texts or [""]):
        found.setdefault(url.rstrip("/"), (url, login))
    return [url for url, _ in found.values()], [login for _, login in found.values()]


@dataclass(frozen=True, kw_only=True)
class Address:
    """A server's /v1 and how one gets in.

    Args:
        url: without user and password.
        key: sent as a bearer token, unless there is a login or it is empty.
        login: "user:password" as in a URL, for basic authentication.
    """

    url: str
    key: str = field(default="", repr=False)
    login: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            sound = httpx.URL(self.url).scheme in ("http", "https") and bool(httpx.URL(self.url).host)
        except httpx.InvalidURL:
            sound = False
        if not sound or "," in self.url:  # "http://a:1/v1,b:2/v1"
            raise Misconfigured(
                f"{self.hide(self.url)!r} is no address of a server; set IMAGESCOPE_ENDPOINT as in "
                "http://host:8000/v1, and write each of several with its http://"
            )
        if not self.key.isascii() or not self.key.isprintable():
            raise Misconfigured(
                "the key has characters that no header can hold; mend IMAGESCOPE_ENDPOINT_KEY"
            )

    @property
    def headers(self) -> dict[str, str]:
        """What every request brings along."""
        if self.login:
            user, _, password = self.login.partition(":")
            return {"Authorization": f"Basic {_basic(unquote(user), unquote(password))}"}
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def hide(self, text: str) -> str:
        """The text without key and password, which servers like to repeat."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def moved(self, asked: str, location: str) -> str:
        """Where a redirect leads, if it stays with the same host.

        Raises:
            Misconfigured: it names nothing, or another host, where key and pictures were not meant to go.
        """
        try:
            source, target = httpx.URL(asked), httpx.URL(asked).join(location)
        except httpx.InvalidURL as error:
            raise Misconfigured(
                f"the server {self.url} redirects to no address; mend IMAGESCOPE_ENDPOINT"
            ) from error
        shown = self.hide(str(target.copy_with(userinfo=b"", query=None, fragment=None)))
        safe = target.scheme == "https" or source.scheme == "http"
        if not location or target.host != source.host or not safe:
            raise Misconfigured(
                f"the server {self.url} redirects to {shown!r}; set IMAGESCOPE_ENDPOINT to it if you trust it"
            )
        return str(target.copy_with(userinfo=b""))

    def _secrets(self) -> Sequence[str]:
        user, _, password = self.login.partition(":")
        plain = unquote(password)
        found = {
            self.key,
            password,
            plain,
            quote(plain, safe=""),
            _basic(unquote(user), plain) if plain else "",
        }
        return [secret for secret in found if len(secret) >= _SHORTEST]


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode("ascii")

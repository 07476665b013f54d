"""What the failures of a server mean: statuses, pages, and what passes."""

from __future__ import annotations

import re

import httpx

from imagescope_agent.errors import Exhausted, Misconfigured, RequestRefused, UnreadableReply, shorten
from imagescope_agent.mllms.openai.address import Address
from imagescope_agent.mllms.openai.rate_limit import retry_after
from imagescope_agent.mllms.openai.responses import SPENT

_AGAIN = frozenset({408, 409, 425, 429})  # and every 5xx
_TOO_LARGE = re.compile(r"too (?:large|long|big)|request size|reduce the (?:length|size|number)", re.I)


class Denied(Misconfigured):
    """HTTP 402 to 405: mostly the key or the model, with some servers the content of one request."""


class Held(Exhausted):
    """HTTP 429 of a server beside which others may be asked; `wait` is the seconds that it asks for."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class TimedOut(Exhausted):
    """No answer within the time that a request may take."""


class Again(Exception):
    """An attempt that failed in a way that passes."""

    def __init__(
        self, problem: str, wait: float = 0.0, status: int | None = None, *, slow: bool = False
    ) -> None:
        super().__init__(problem)
        self.wait, self.status, self.slow = wait, status, slow


def not_json(address: Address, response: httpx.Response) -> Exception:
    """What an answer means that is not JSON: a page of a wrong address, a stream nobody asked for, a cut one."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    begins = response.text.lstrip()[:200].lower()
    if kind in ("text/html", "application/xhtml+xml") or begins.startswith(("<!doctype", "<html")):
        return Denied(
            f"the server {address.url} answers with a page of {kind or 'HTML'}, as a wrong address does; "
            "set IMAGESCOPE_ENDPOINT to its /v1"
        )
    if "stream" in kind or "ndjson" in kind or "jsonl" in kind or begins.startswith(("data:", "event:")):
        return UnreadableReply(
            f"the server answers with a stream ({kind or 'no content type'}) where one JSON object is asked for",
            reply=shown(address, response.text),
        )
    return Again(f"an answer that is not JSON but {kind or 'of no content type'}")


def refuse(address: Address, status: int, text: str, response: httpx.Response) -> None:
    """Raise what the status means."""
    url, told = address.url, shown(address, text)
    if status in (403, 429) and SPENT.search(f"{text} {response.text[:2000]}"):
        raise Misconfigured(
            f"the server {url} has no credit left for this key (HTTP {status}: {told}); mend the account, "
            "or set IMAGESCOPE_ENDPOINT_KEY to another"
        )
    if status == 429 and _TOO_LARGE.search(text):
        raise RequestRefused(f"the server {url} refuses the request (HTTP 429: {told}); ask for less at once")
    if status in _AGAIN or status >= 500:
        raise Again(
            f"HTTP {status}" + (f": {shorten(told, 80)}" if told else ""),
            wait_of(response),
            status,
        )
    if status == 401 or status == 402:
        raise (Denied if status == 402 else Misconfigured)(
            f"the server {url} refuses the key (HTTP {status}: {told}); set IMAGESCOPE_ENDPOINT_KEY"
        )
    if status == 403:
        raise Denied(f"the server {url} refuses the key (HTTP 403: {told}); set IMAGESCOPE_ENDPOINT_KEY")
    if status in (404, 405):
        raise Denied(
            f"the server {url} does not know the model or the address (HTTP {status}: {told}); "
            "mend IMAGESCOPE_ENDPOINT or IMAGESCOPE_ENDPOINT_MODEL"
        )
    if status < 400:
        raise Misconfigured(
            f"the server {url} answers HTTP {status}, which is no answer; mend IMAGESCOPE_ENDPOINT"
        )
    raise RequestRefused(
        f"the server {url} refuses the request (HTTP {status}): {told}; "
        "mend the profile's options, or how the server was started"
    )


def shown(address: Address, text: str) -> str:
    """The beginning of what a server says, without secrets."""
    return shorten(address.hide(text), 160)


def wait_of(response: httpx.Response) -> float:
    """The seconds that a response asks to wait."""
    return retry_after(response.headers.get("retry-after", ""))

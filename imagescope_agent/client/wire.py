"""What goes over the wire: pictures, bodies, errors by status, server-sent events."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from imagescope_agent.errors import BackendUnavailable, BadInput, ImageScopeError, Misconfigured

Image = str | Path | bytes
Json = dict[str, Any]
Event = tuple[str, Json]
BESIDE = ("graph", "k", "run", "rejected")  # what stands beside the settings of a search


def picture(image: Image | None) -> str | None:
    """An image as the service takes it: a string is an id, a path or bytes are sent.

    Raises:
        BadInput: the file cannot be read.
    """
    if image is None or isinstance(image, str):
        return image
    return "data:application/octet-stream;base64," + base64.b64encode(content_of(image)).decode("ascii")


def pictures(given: Mapping[str, Any]) -> Json:
    """Those of `images` and `unlike` that are given, each as `picture`.

    Raises:
        BadInput: a file cannot be read.
    """
    return {name: [picture(each) for each in given[name]] for name in ("images", "unlike") if name in given}


def content_of(image: Path | bytes) -> bytes:
    """The bytes of a picture.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        return image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {str(image)!r}: {error.strerror}; give another file") from error


def sent(body: Any) -> dict[str, Any]:
    """How httpx is given a body: bytes as they are, anything else as JSON."""
    return {"content": body} if isinstance(body, bytes) else {"json": body}


def search_body(text: str, image: Image | None, settings: Mapping[str, Any]) -> Json:
    """The body of a search; what is named in `BESIDE` stands beside the settings."""
    beside = {name: settings[name] for name in BESIDE if name in settings}
    shown = pictures(settings)
    inner = {name: value for name, value in settings.items() if name not in (*beside, *shown)}
    return {"text": text, "image": picture(image), "settings": inner, **beside, **shown}


def require_success(response: httpx.Response) -> None:
    """Check the status of a response that was read.

    Raises:
        BadInput, Misconfigured, BackendUnavailable, ImageScopeError: by the service's status, with its message.
    """
    if response.is_success:
        return
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        message = f"{response.url} answers {response.status_code}; is it `imagescope serve`?"
    status = response.status_code
    kind = {401: Misconfigured, 422: BadInput, 429: BackendUnavailable, 503: BackendUnavailable}.get(status)
    raise (kind or (BadInput if status < 500 else ImageScopeError))(message)


class EventReader:
    """Puts the lines of a stream of server-sent events together."""

    def __init__(self) -> None:
        self._name, self._data = "", list[str]()

    def read(self, line: str) -> Event | None:
        """The event that a line ends, None where it ends none; comments keep the connection open and say nothing."""
        if line.startswith("event: "):
            self._name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            self._data.append(line.removeprefix("data: "))
        elif not line and self._data:
            event = self._name, json.loads("\n".join(self._data))
            self._name, self._data = "", []
            return event
        return None


def json_of(response: httpx.Response) -> Json:
    """The JSON of a response, {} of an empty one."""
    found: Json = response.json() if response.content else {}
    return found

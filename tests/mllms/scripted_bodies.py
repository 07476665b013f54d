"""A script that answers requests over HTTP, as `Scripted` answers them in the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagescope_agent.mllms.scripted import Asked
from tests.mllms.quirks import pictures, text
from tests.mllms.server import Quirk, Raw


def answering(reply: Callable[[Asked], str], quirk: Quirk) -> Quirk:
    """A server that answers as a script says, where it does not do as `quirk` says; plain questions with "No".

    The small questions of the probe are the server's own.
    """

    def answer(body: dict[str, Any]) -> Raw | None:
        if (own := quirk(body)) is not None or text(body) == "Say Yes.":
            return own
        form = body.get("response_format", {}).get("json_schema", {}).get("name")
        asked = Asked(text=text(body), images=tuple(pictures(body)), options={"response_format": form})
        message = {"role": "assistant", "content": reply(asked) if form else "No"}
        return Raw(
            content={"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        )

    return answer

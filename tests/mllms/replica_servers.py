"""Servers of one model, each with a way of its own to go wrong."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr

from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Request
from tests.mllms import quirks
from tests.mllms.checkpoints import picture
from tests.mllms.server import FakeServer, Quirk, Raw

LABELS = ["Yes", "No"]


def number(body: dict[str, Any]) -> int | None:
    found = re.search(r"Is it (\d+)\?", quirks.text(body))
    return int(found[1]) if found else None


def right(question: int) -> list[float]:
    """The right answer, another for each question."""
    yes = 0.05 + 0.9 * ((question * 37) % 100) / 100
    return [yes, 1 - yes]


def weighing(body: dict[str, Any]) -> Raw | None:
    """An answer with the right weights."""
    if (asked := number(body)) is None:
        return None
    return weights(dict(zip(("Yes", "No"), right(asked), strict=True)))


def weights(of: dict[str, float]) -> Raw:
    top = [{"token": token, "logprob": math.log(weight)} for token, weight in of.items()]
    choice = {
        "message": {"role": "assistant", "content": next(iter(of))},
        "finish_reason": "stop",
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return Raw(content={"object": "chat.completion", "choices": [choice], "usage": usage})


def lying(of: dict[str, float]) -> Quirk:
    """As right as others at small talk, with other weights for every question."""
    return lambda body: None if number(body) is None else weights(of)


class Slow:
    """Answers nothing until it is let go on."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, body: dict[str, Any]) -> Raw | None:
        if number(body) is not None:
            self.go.wait(60)
        return weighing(body)


def endpoint(servers: Sequence[FakeServer], **options: Any) -> Endpoint:
    usual = {"pause": 0.02, "patience": 20.0, "concurrency": 4, "key": SecretStr("")}
    return Endpoint(url=[each.url for each in servers], **{**usual, **options})


def question(asked: int, image: int | None = None) -> Request:
    return Request(text=f"Is it {asked}?", images=() if image is None else (picture(image),))


def real(server: FakeServer) -> int:
    """How many questions a server was sent."""
    return sum(number(body) is not None for body in server.bodies)


def places(servers: Sequence[FakeServer]) -> Counter[str]:
    """On how many servers each picture was seen."""
    return Counter(url for server in servers for url in {quirks.pictures(body)[0] for body in server.asked})

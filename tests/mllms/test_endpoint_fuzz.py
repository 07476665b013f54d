"""Hundreds of generated answers: nothing but errors of this package comes out, and every row is told."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import Counter
from random import Random
from typing import Any

from imagescope_agent.errors import ImageScopeError
from imagescope_agent.mllms.protocols import UnusableLabels
from tests.mllms import quirks
from tests.mllms.server import FakeServer, Raw
from tests.mllms.test_endpoint_dialect import YES_NO, Whole, endpoint, question

COUNT = int(os.environ.get("IMAGESCOPE_FUZZ", "150"))  # answers of each kind of request
RARE = (204, 206, 301, 304, 308, 400, 401, 403, 404, 409, 413, 422, 429, 451, 500, 503, 524, 529)
STATUSES = (*[200] * 150, *RARE)
ATOMS = (
    None, True, False, 0, -1, 3.5, float("nan"), float("inf"), 10**400, "", "Yes", "\ud800", "{", "[]", "many",
    "length", "content_filter", "<think>", "text", 429, "502",
)  # fmt: skip
KEYS = (
    "error", "code", "message", "choices", "content", "finish_reason", "usage", "prompt_tokens", "completion_tokens",
    "logprobs", "top_logprobs", "token", "logprob", "type", "text", "refusal", "reasoning_content", "model", "object",
)  # fmt: skip
HEADERS: tuple[dict[str, str], ...] = (
    *[{}] * 12,
    {"content-encoding": "gzip"},
    {"content-encoding": "br"},
    {"content-type": "text/html; charset=nonsense"},
    {"retry-after": "nan"},
    {"retry-after": "-1"},
    {"location": "//"},
    {"location": "http://[::1"},
    {"location": "/v1/x"},
)


def value(random: Random, depth: int = 0) -> Any:
    kind = random.random()
    if depth > 4 or kind < 0.4:
        return random.choice(ATOMS)
    if kind < 0.6:
        return [value(random, depth + 1) for _ in range(random.randrange(3))]
    return {random.choice(KEYS): value(random, depth + 1) for _ in range(random.randrange(4))}


def damaged(random: Random, usual: dict[str, Any]) -> Any:
    """A sound answer, one or two of its values replaced."""
    for _ in range(random.randrange(1, 3)):
        place: Any = usual
        while True:
            key = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.3:
                break
            place = place[key]
        place[key] = value(random, 2)
    return usual


def content(random: Random, usual: dict[str, Any]) -> bytes:
    kind = random.random()
    made = json.dumps(damaged(random, usual) if kind < 0.6 else value(random)).encode()
    if kind > 0.95:
        return random.randbytes(random.randrange(40))
    if kind > 0.9:
        return made.replace(b'"', b'\xff"', 1)
    return made


def ask(seed: int) -> str:
    """What came of one request of a kind: its class of outcome."""
    random = Random(seed)

    def quirk(body: dict[str, Any]) -> Raw | None:
        with lock_step:
            if quirks.text(body) == "Say Yes." and random.random() < 0.9:
                return None  # or most would end with the first small question
            headers = random.choice(HEADERS)
            return Raw(
                status=random.choice(STATUSES),
                content=content(random, server.completion(body)),
                headers=headers,
            )

    lock_step = threading.Lock()
    with FakeServer(quirk=quirk) as server:
        model = endpoint(server, model="m", pause=0.0, attempts=2, concurrency=4)

        async def all_kinds() -> None:
            choice = await model.ascore([question(number) for number in range(3)], YES_NO)
            assert len(choice.probabilities) == 3
            assert all(abs(sum(row) - 1) < 1e-6 and min(row) >= 0 for row in choice.probabilities)
            assert all(isinstance(choice.usage[key], int) for key in ("prompt_tokens", "completion_tokens"))
            answer = await model.ainvoke("q", **model.schema_kwargs(Whole))
            assert isinstance(answer.content, str) and answer.usage_metadata["total_tokens"] >= 0  # type: ignore[index]

        try:
            asyncio.run(all_kinds())
        except (ImageScopeError, UnusableLabels) as error:
            assert "\n" not in str(error)
            return type(error).__name__
        return "answered"


def test_any_answer_ends_in_an_error_of_ours_or_in_sound_probabilities() -> None:
    outcomes = Counter(ask(seed) for seed in range(COUNT))
    print(outcomes)
    assert len(outcomes) > 3

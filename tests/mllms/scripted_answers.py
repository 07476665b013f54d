"""Answers of a server that are given in turn, and a plain chat completion."""

from __future__ import annotations

from typing import Any

from tests.mllms import quirks
from tests.mllms.server import Raw


class Script:
    """Answers that are given in turn, to what is no small question; the usual one afterwards."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)

    def __call__(self, body: dict[str, Any]) -> Raw | None:
        if not self.left or quirks.text(body) == "Say Yes.":
            return None
        answer = self.left.pop(0)
        return answer if isinstance(answer, Raw) else Raw(content=answer)


def completion(content: Any = "Yes", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}

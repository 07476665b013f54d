"""What strangers' servers refuse, each in words of its own."""

from __future__ import annotations

import json
from typing import Any

from tests.mllms.server import Quirk, Raw


def refuse(message: str = "bad request", status: int = 400) -> Raw:
    return Raw(status=status, content={"error": {"message": message}})


def pictures(body: dict[str, Any]) -> list[str]:
    """The data URLs of a request's pictures, in order."""
    parts = [
        part for each in body["messages"] if isinstance(each["content"], list) for part in each["content"]
    ]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])


def most_pictures(count: int) -> Quirk:
    return lambda body: refuse(f"at most {count} image(s)") if len(pictures(body)) > count else None


def blind(body: dict[str, Any]) -> Raw | None:
    hint = {"error": {"code": 500, "message": "image input is not supported", "type": "server_error"}}
    return Raw(status=500, content=hint) if pictures(body) else None


def most_logprobs(count: int) -> Quirk:
    return lambda body: refuse("top_logprobs too high") if body.get("top_logprobs", 0) > count else None


def no_logprobs(body: dict[str, Any]) -> Raw | None:
    return refuse("unknown field") if "logprobs" in body else None


def other_limit(body: dict[str, Any]) -> Raw | None:
    told = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    return refuse(told) if "max_tokens" in body else None


def no_limit(body: dict[str, Any]) -> Raw | None:
    return (
        refuse("extra inputs are not permitted", 422)
        if {"max_tokens", "max_completion_tokens"} & body.keys()
        else None
    )


def long_replies(body: dict[str, Any]) -> Raw | None:
    limit = body.get("max_tokens", body.get("max_completion_tokens", 16))
    return refuse("expected a value >= 16") if limit < 16 else None


def own_temperature(body: dict[str, Any]) -> Raw | None:
    return refuse("Only the default (1) value is supported.") if body.get("temperature", 1) != 1 else None


def no_schema_limits(body: dict[str, Any]) -> Raw | None:
    words = json.dumps(body.get("response_format", {}))
    limits = ("minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "$ref")
    return refuse("Invalid schema") if any(f'"{limit}"' in words for limit in limits) else None


def no_schema(body: dict[str, Any]) -> Raw | None:
    return refuse("what is this?", 422) if "response_format" in body else None


def failing_schema(body: dict[str, Any]) -> Raw | None:
    return refuse("failed to parse grammar", 500) if "response_format" in body else None


def several(*quirks: Quirk) -> Quirk:
    """All of them, the first that refuses speaks."""
    return lambda body: next((raw for quirk in quirks if (raw := quirk(body)) is not None), None)

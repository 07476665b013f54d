"""JSON schemas that replies are held to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel


def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The schema that a reply follows; extra keys are refused, or they would grow without end."""
    return {**_described(schema), "additionalProperties": False}


@lru_cache(maxsize=64)
def _described(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()

"""JSON schemas that replies are held to."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The schema that a reply follows; extra keys are refused, or they would grow without end."""
    return {**schema.model_json_schema(), "additionalProperties": False}

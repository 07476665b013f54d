"""JSON schemas of structured output."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

_MAX_DEPTH = 16  # of a recursive schema


def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model; additional properties are forbidden, or replies might never end."""
    return {**_model_schema(schema), "additionalProperties": False}


def without_limits(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without limits (lengths, ranges, patterns) and references, for servers that support neither.

    Every property is required and no other is allowed, as strict servers demand.
    """
    definitions = schema.get("$defs", {})

    def shape(part: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        if depth > _MAX_DEPTH:
            return {}
        if "$ref" in part:
            return shape(definitions.get(str(part["$ref"]).rsplit("/", 1)[-1], {}), depth + 1)
        reduced = {key: part[key] for key in ("type", "enum") if key in part}
        if "const" in part:
            reduced["enum"] = [part["const"]]
        if "anyOf" in part:
            reduced["anyOf"] = [shape(each, depth + 1) for each in part["anyOf"]]
        if "items" in part:
            reduced["items"] = shape(part["items"], depth + 1)
        if "properties" in part:
            reduced["properties"] = {
                name: shape(each, depth + 1) for name, each in part["properties"].items()
            }
            reduced.update(required=list(part["properties"]), additionalProperties=False)
        return reduced

    return shape(schema)


@lru_cache(maxsize=64)
def _model_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()

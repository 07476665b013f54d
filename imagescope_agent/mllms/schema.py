"""JSON schemas that replies are held to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

_DEEPEST = 16  # levels of a schema that refers to itself


def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The schema that a reply follows; extra keys are refused, or they would grow without end."""
    return {**_described(schema), "additionalProperties": False}


def without_limits(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The shape alone, for servers that take no limits: types, names and given values, references written out.

    Every property is required and no other is allowed, as the strictest servers want it.
    """
    definitions = schema.get("$defs", {})

    def shape(part: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        if depth > _DEEPEST:
            return {}
        if "$ref" in part:
            return shape(definitions.get(str(part["$ref"]).rsplit("/", 1)[-1], {}), depth + 1)
        made = {key: part[key] for key in ("type", "enum") if key in part}
        if "const" in part:
            made["enum"] = [part["const"]]
        if "anyOf" in part:
            made["anyOf"] = [shape(each, depth + 1) for each in part["anyOf"]]
        if "items" in part:
            made["items"] = shape(part["items"], depth + 1)
        if "properties" in part:
            made["properties"] = {name: shape(each, depth + 1) for name, each in part["properties"].items()}
            made.update(required=list(part["properties"]), additionalProperties=False)
        return made

    return shape(schema)


@lru_cache(maxsize=64)
def _described(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()

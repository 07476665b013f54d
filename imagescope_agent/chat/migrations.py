"""The version of what a conversation keeps, and how an older one becomes today's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.state import SCHEMA

#: From each older version, how a state becomes one of the next.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda values: {**values, "wordings": {}},  # a question was worded once it was chosen, not before
}


def is_current(values: Mapping[str, Any]) -> bool:
    """Whether a state is of today's version."""
    return bool(values.get("schema", 0) == SCHEMA)


def migrate(values: Mapping[str, Any]) -> dict[str, Any]:
    """A state of an older version as one of today's.

    Raises:
        BadInput: it is newer, or there is no way from so old a one.
    """
    found = values.get("schema", 0)
    if found > SCHEMA or any(version not in MIGRATIONS for version in range(found, SCHEMA)):
        raise BadInput(
            f"the conversation has schema {found} and this version reads {SCHEMA}; "
            "install the version that made it"
        )
    state = dict(values)
    for version in range(found, SCHEMA):
        state = {**MIGRATIONS[version](state), "schema": version + 1}
    return state

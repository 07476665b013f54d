"""Schema versions of the state of a conversation, and migrations to the current one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.state import SCHEMA

#: Version -> migration of a state to the next version.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda values: {**values, "wordings": {}},  # version 1 worded a question after it was chosen
}


def is_current(values: Mapping[str, Any]) -> bool:
    """Whether a state has the current version."""
    return bool(values.get("schema", 0) == SCHEMA)


def migrate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Migrate a state to the current version.

    Raises:
        BadInput: it is newer, or there is no migration from its version.
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

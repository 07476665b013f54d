"""Names to things: a visible table for what ships, "module:attribute" for others, entry points for graphs."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

from imagescope_agent.errors import BadInput, suggest

GRAPHS = "imagescope_agent.graphs"


def resolve(name: str, table: Mapping[str, str], *, kind: str = "name") -> Any:
    """What `name` stands for: an entry of the table ("module:attribute"), or directly a "module:attribute".

    Raises:
        BadInput: an unknown name (similar ones are suggested), or a module or attribute that is not there.
    """
    if ":" not in name:
        if name not in table:
            raise BadInput(f"there is no {kind} {name!r}; {suggest(name, table)}")
        return _load(table[name], kind=kind)
    return _load(name, kind=kind)


def load_graph(name: str) -> Callable[..., Any]:
    """The `build(services, *, checkpointer=None)` of the graph with that name, or of a "module:attribute".

    Raises:
        BadInput: there is no such graph.
    """
    return resolve(name, graphs(), kind="graph")  # type: ignore[no-any-return]


def graphs() -> dict[str, str]:
    """Every installed graph, ours and other packages': {name: "module:attribute"}."""
    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GRAPHS)}


def _load(target: str, *, kind: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"cannot load {kind} {target!r}: {error}; give 'module:attribute'") from error
    return found

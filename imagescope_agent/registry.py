"""Names to things: a visible table for what ships, "module:attribute" for others, entry points for graphs.

A module that is not installed is looked for in the current folder, which Python itself leaves out for a command. The
folder becomes importable only when its user names a module in it, and comes last: nothing there hides a package.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any

from imagescope_agent.errors import BadInput, suggest

GRAPHS = "imagescope_agent.graphs"


def resolve(name: str, table: Mapping[str, str], *, kind: str = "name") -> Any:
    """What `name` stands for: an entry of the table ("module:attribute"), or directly a "module:attribute".

    Raises:
        BadInput: an unknown name (similar ones are suggested), a module or attribute that is not there, or a thing of
            another kind (see `KINDS`); nothing is called to find out.
    """
    if ":" not in name and name not in table:
        raise BadInput(f"there is no {kind} {name!r}; {suggest(name, table)}")
    found = _load(table.get(name, name) if ":" not in name else name, kind=kind)
    fits, wanted = KINDS.get(kind, (lambda _: True, ""))
    if not fits(found):
        raise BadInput(f"{name!r} is no {kind}: {wanted} is wanted; name another")
    return found


def resolve_opener(spec: str, table: Mapping[str, str], *, kind: str) -> tuple[Callable[..., Any], str]:
    """What opens a thing, and the place it is told to open: of KIND[:PLACE], or of module:attribute[:PLACE].

    Raises:
        BadInput: as `resolve`.
    """
    name, _, place = spec.partition(":")
    if name not in table:
        if ":" not in spec or not _is_module(name):
            raise BadInput(f"there is no kind of {kind} {name!r} in {spec!r}; {suggest(name, table)}")
        attribute, _, place = place.partition(":")
        name = f"{name}:{attribute}"
    return resolve(name, table, kind=kind), place


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
    _reach(module)
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may fail in any way when it is imported
        raise BadInput(f"cannot load {kind} {target!r}: {error}; give 'module:attribute'") from error
    return found


def _is_module(name: str) -> bool:
    _reach(name)
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _reach(module: str) -> None:
    """Make the current folder importable if a module lies there and nowhere else."""
    top = module.partition(".")[0]
    try:
        if top and find_spec(top) is None and PathFinder.find_spec(top, [here := os.getcwd()]) is not None:
            sys.path.append(here)
    except (ImportError, ValueError, OSError):  # no name of a module, or the folder is gone
        return


def _is_judge(found: Any) -> bool:
    called = type(found).__call__ if callable(found) else None
    return any(map(inspect.iscoroutinefunction, (found, called))) and _takes(found, 2)


def _is_graph(found: Any) -> bool:
    return callable(found) and _takes(found, 1, checkpointer=None)


def _is_chat_model(found: Any) -> bool:
    from langchain_core.language_models import BaseChatModel

    return isinstance(found, type) and issubclass(found, BaseChatModel)


def _takes(found: Any, places: int, **named: Any) -> bool:
    try:
        inspect.signature(found).bind(*[None] * places, **named)
    except (TypeError, ValueError):  # others; or a part of Python that does not tell
        return False
    return True


#: What a name must stand for, and how that is said.
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "judge": (_is_judge, "an async function of a task and its candidates"),
    "graph": (_is_graph, "a function build(services, *, checkpointer=None)"),
    "model class": (_is_chat_model, "a class of LangChain chat models"),
}

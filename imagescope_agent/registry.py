"""Names to things: a visible table for what ships, "module:attribute" for others, entry points for graphs."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
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
    except Exception as error:  # a module may fail in any way when it is imported
        raise BadInput(f"cannot load {kind} {target!r}: {error}; give 'module:attribute'") from error
    return found


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

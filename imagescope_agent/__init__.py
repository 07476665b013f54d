"""ImageScope Agent: find images with language, and see why each one was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagescope_agent.api import ImageScope
    from imagescope_agent.errors import (
        BackendUnavailable,
        BadInput,
        BudgetSpent,
        ImageScopeError,
        MissingExtra,
        UnreadableReply,
    )
    from imagescope_agent.registry import load_graph
    from imagescope_agent.runs.results import SearchResult
    from imagescope_agent.settings import Settings

__all__ = [
    "BackendUnavailable",
    "BadInput",
    "BudgetSpent",
    "ImageScope",
    "ImageScopeError",
    "MissingExtra",
    "SearchResult",
    "Settings",
    "UnreadableReply",
    "load_graph",
]

_HOMES = {
    "ImageScope": "api",
    "SearchResult": "runs.results",
    "Settings": "settings",
    "load_graph": "registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `imagescope --help` waits for no library of models."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

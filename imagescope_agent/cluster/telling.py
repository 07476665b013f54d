"""What nodes tell the process of the command: which they are, and what went wrong there."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imagescope_agent import errors
from imagescope_agent.errors import BadInput, ImageScopeError, ModelFailed, shorten


@contextmanager
def telling() -> Iterator[None]:
    """Tell what else fails on a node by its name: Ray tells of it only that something failed.

    Raises:
        ImageScopeError: as it was raised.
        ModelFailed: in place of all others.
    """
    try:
        yield
    except ImageScopeError:
        raise
    except Exception as error:
        raise ModelFailed(shorten(f"{type(error).__name__}: {error}", 200)) from error


def there(folder: Path) -> Path:
    """The folder, where this node sees it.

    Raises:
        BadInput: it does not.
    """
    if not folder.is_dir():
        raise BadInput(
            f"the node {socket.gethostname()!r} does not see {str(folder)!r}; put it on storage that every "
            "node mounts at the same path"
        )
    return folder


def told_error(error: ImageScopeError) -> list[str]:
    """An error as plain values, for `error_of` in another process."""
    return [next(each.__name__ for each in type(error).__mro__ if hasattr(errors, each.__name__)), str(error)]


def error_of(told: Sequence[str]) -> ImageScopeError:
    """The error that `told_error` told."""
    made: ImageScopeError = getattr(errors, told[0])(told[1])
    return made


def node_id() -> str:
    """Of the node that an actor runs on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())

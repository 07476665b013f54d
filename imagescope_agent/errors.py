"""What can go wrong, one class per way of mending it; `exit_code` is the command line's exit status."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from imagescope_agent.common.redact import redact


class ImageScopeError(Exception):
    """Any failure this package reports; its message is one line, without secrets: what is wrong and how to mend it."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(str(message)))


class BadInput(ImageScopeError):
    """What was given cannot be used: a query, a name, a file, an index."""

    exit_code = 2


class MissingExtra(BadInput):
    """An optional part of the package is not installed."""


class RequestRefused(BadInput):
    """A model refuses one request (its picture, its length, an option); it may well answer others."""


class NoModel(RequestRefused):
    """The profile has no model for the role on purpose; a graph goes on without."""


class BackendUnavailable(ImageScopeError):
    """A model does not answer; asking again later may help."""

    exit_code = 3


class Misconfigured(BackendUnavailable):
    """A model does not answer because of its key, name or address; asking again does not help."""


class Exhausted(BackendUnavailable):
    """A model does not answer after as many attempts as are of use; another at once does not help."""


class ServerFails(Exhausted):
    """Every attempt ended in HTTP 5xx: the server is there, and what it was asked may be the reason."""


class RequestFailed(RequestRefused, BackendUnavailable):
    """One request is not answered at any attempt, while the model answers others; asking again later may help."""

    exit_code = 3


class ModelFailed(BackendUnavailable):
    """A model raised what nothing is known about: asking a few times more may help, for ever it does not."""


class UnusableModel(Misconfigured):
    """A local model cannot be loaded or run as configured: its folder, dtype, device, or this machine's memory."""

    exit_code = 2


class UnreadableReply(ImageScopeError):
    """A model answered, but not in the form it was asked for.

    Args:
        problem: what is wrong with the reply.
        prompt: the text it answers.
        reply: the reply as it came.
        usage: what the reply cost, so that a wasted answer is still accounted for.
    """

    exit_code = 3

    def __init__(
        self, problem: str, *, prompt: str = "", reply: str = "", usage: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{problem}; the reply was {shorten(reply)!r}")
        self.problem = redact(problem)
        self.prompt = prompt
        self.reply = reply
        self.usage = dict(usage or {})


class BudgetSpent(ImageScopeError):
    """The next step could cost more model calls or tokens than the run may still spend."""

    exit_code = 4


def may_pass(error: BaseException) -> bool:
    """Whether what failed may succeed when it is tried again: for retry policies."""
    lasting = isinstance(error, Misconfigured | Exhausted | RequestFailed)
    return isinstance(error, BackendUnavailable) and not lasting


def require_process(pid: int) -> None:
    """Make sure that a model is asked in the process that opened it: its threads do not live on in a fork.

    Raises:
        BadInput: this is another process.
    """
    if os.getpid() != pid:
        raise BadInput(
            "the models were opened before this process was forked and do not answer in it; "
            "start processes with multiprocessing's 'spawn', or fork before the first search"
        )


def shorten(text: str, limit: int = 120) -> str:
    """The text on one line, cut to `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def suggest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the names that look like it, else all of them."""
    known = sorted(names)
    if close := get_close_matches(name, known, n=3, cutoff=0.6):
        return "did you mean " + " or ".join(repr(each) for each in close) + "?"
    if not known:
        return "there is none"
    shown = ", ".join(repr(each) for each in known[:10])
    return f"there is {shown}" + (f" and {len(known) - 10} more" if len(known) > 10 else "")

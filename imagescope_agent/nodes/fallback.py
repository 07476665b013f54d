"""Retry nodes whose replies cannot be parsed, then fall back.

LangGraph's own error handlers are not used for this: they also swallow a failing backend, after which a run
cannot be resumed, and they lose what the unreadable answers cost.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy

from imagescope_agent.errors import BudgetSpent, NoModel, RequestRefused, UnreadableReply, may_pass
from imagescope_agent.records import NoteDict, NoteKind, note
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State
from imagescope_agent.usage import StepUsage, spent

#: For every node that asks a model: a server that is restarted or busy answers a moment later.
RETRY_TRANSIENT = RetryPolicy(max_attempts=3, initial_interval=0.5, retry_on=may_pass)

Update = dict[str, Any]


class Node(Protocol):
    """A node of a graph."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> Update:
        """Return the changed keys."""
        ...


class Asking(Protocol):
    """A node that calls a model; `again` is what was wrong with the reply before."""

    step: str
    role: str

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> Update:
        """Return the changed keys.

        Raises:
            UnreadableReply: the answer cannot be used.
            RequestRefused: the model does not take the question.
            BudgetSpent: the question may not be asked.
        """
        ...


def or_else(  # half of it says what falls back to what
    node: Asking, fallback: Callable[[State], Update | Awaitable[Update]], *, instead: str
) -> Node:
    """The node, asked up to `Settings.attempts` times, and then `fallback`.

    Every unreadable answer leaves its cost and one note (kind "retried" when it was asked again, "unreadable"
    for the last); a refused question is not asked again and leaves a note of kind "refused" ("fallback"
    where the profile has no model), a step the budget
    forbids one of kind "budget". All other errors pass.

    Args:
        node: what is tried first.
        fallback: the state -> the keys to go on with; may be a coroutine.
        instead: what the fallback goes on with, in words for the note.
    """

    async def asked(state: State, runtime: Runtime[Settings]) -> Update:
        attempts = current(runtime).attempts
        notes: list[NoteDict] = []
        usage: list[StepUsage] = []
        again = ""
        for attempt in range(1, attempts + 1):
            so_far: State = {**state, "usage": [*state.get("usage", []), *usage]}
            try:
                update = await node(so_far, runtime, again)
            except UnreadableReply as error:
                again = error.problem
                usage.append(spent(node.step, node.role, error.usage))
                ending = f"; went on with {instead}" if attempt == attempts else ""
                kind: NoteKind = "unreadable" if attempt == attempts else "retried"
                notes.append(note(node.step, kind, f"{error}{ending}"))
            except RequestRefused as error:
                absent: NoteKind = "fallback" if isinstance(error, NoModel) else "refused"
                notes.append(note(node.step, absent, f"{error}; went on with {instead}"))
                break
            except BudgetSpent as error:
                notes.append(note(node.step, "budget", f"{error}; went on with {instead}"))
                break
            else:
                return _joined(update, notes, usage)
        instead_of = fallback(state)
        update = await instead_of if inspect.isawaitable(instead_of) else instead_of
        return _joined(update, notes, usage)

    return asked


def _joined(update: Update, notes: list[NoteDict], usage: list[StepUsage]) -> Update:
    return {
        **update,
        "notes": [*notes, *update.get("notes", [])],
        "usage": [*usage, *update.get("usage", [])],
    }

"""One model call within the budget of the run; errors carry the usage of unreadable replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.mllms.budget import DEFAULT_MAX_TOKENS, Budget, BudgetedRole
from imagescope_agent.mllms.request import CUT_OFF
from imagescope_agent.mllms.role import ImageRef, Reply, Request, Role
from imagescope_agent.nodes.fallback import Asking
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NoteDict, at_step
from imagescope_agent.run_budget import remaining, tokens_left
from imagescope_agent.settings import Settings
from imagescope_agent.state import State
from imagescope_agent.usage import spent

MORE_ROOM = 4  # times the longest reply that a model is allowed, once one was cut off

_Value = TypeVar("_Value")


def on_budget(role: Role, state: State, settings: Settings) -> Role:
    """The role limited to what is left of the run's budgets; the role itself without budgets."""
    calls, tokens = remaining(state, settings), tokens_left(state, settings)
    return (
        role if calls is None and tokens is None else BudgetedRole(role, Budget(calls=calls, tokens=tokens))
    )


async def ask_one(
    role: Role,
    text: str,
    parse: Callable[[str], _Value],
    *,
    images: tuple[ImageRef, ...] = (),
    labels: tuple[str, ...] = (),
    schema: type[BaseModel] | None = None,
    again: str = "",
) -> tuple[_Value, Reply]:
    """Call a role once; the parsed value, and the reply with its usage and notes.

    Args:
        role: who is asked.
        text: the question.
        parse: reply text -> value, or UnreadableReply.
        images: shown before the text.
        labels: the text before each image, if any.
        schema: what the reply is held to where the model can be.
        again: what was wrong with the reply before, when this asks a second time.

    A reply that was cut off before is given more room.

    Raises:
        BudgetSpent: the role is on a budget that the question could exceed.
        RequestRefused: the model does not take the question.
        UnreadableReply: `parse` could not read the reply; carries the prompt, the reply and the usage.
    """
    longest = None
    if again:
        text = f"{text}\n\n{load_prompt('again').fill(problem=again)}"
        if again.startswith(CUT_OFF):
            longest = MORE_ROOM * int(getattr(role.model, "max_tokens", None) or DEFAULT_MAX_TOKENS)
    asked = [Request(text=text, images=images, labels=labels)]
    reply = (await role.ask(asked, schema=schema, max_tokens=longest))[0]
    try:
        return parse(reply.text), reply
    except UnreadableReply as error:
        raise reply.unusable(error.problem, text) from error


def account(node: Asking, *replies: Reply, notes: Sequence[NoteDict] = ()) -> dict[str, Any]:
    """The update of `notes` and `usage` for replies, with further notes."""
    return {
        "notes": [*(each for reply in replies for each in at_step(node.step, reply.notes)), *notes],
        "usage": [spent(node.step, node.role, *(reply.usage for reply in replies))],
    }

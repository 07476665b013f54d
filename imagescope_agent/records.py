"""What every step writes down: notes of degraded answers, what was spent, what may still be spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imagescope_agent.errors import BudgetSpent
from imagescope_agent.settings import Settings
from imagescope_agent.state import Note, State, Usage


def note(step: str, kind: str, detail: str) -> Note:
    """One degraded answer."""
    return {"step": step, "kind": kind, "detail": detail}


def at_step(step: str, notes: Iterable[Mapping[str, Any]]) -> list[Note]:
    """Notes made by a model or a judge, filed under the step that asked it."""
    return [note(step, str(each["kind"]), str(each["detail"])) for each in notes]


def spent(step: str, role: str, *parts: Mapping[str, Any]) -> Usage:
    """The cost of a step, summed over what it asked (`Reply.usage`, `Choice.usage`)."""
    return {
        "step": step,
        "role": role,
        "calls": sum(int(part.get("calls", 0)) for part in parts),
        "prompt_tokens": sum(int(part.get("prompt_tokens", 0)) for part in parts),
        "completion_tokens": sum(int(part.get("completion_tokens", 0)) for part in parts),
        "image_prefills": sum(int(part.get("image_prefills", 0)) for part in parts),
        "seconds": sum(float(part.get("seconds", 0.0)) for part in parts),
    }


def remaining(state: State, settings: Settings) -> int | None:
    """How many model calls the run may still make; None when there is no limit."""
    if settings.budget is None:
        return None
    return max(0, settings.budget - sum(entry["calls"] for entry in state.get("usage", [])))


def tokens_left(state: State, settings: Settings) -> int | None:
    """How many tokens models may still read and write in the run; None when there is no limit."""
    if settings.token_budget is None:
        return None
    used = sum(entry["prompt_tokens"] + entry["completion_tokens"] for entry in state.get("usage", []))
    return max(0, settings.token_budget - used)


def require_call(state: State, settings: Settings) -> None:
    """Make sure that one more call may be made; whether its tokens are there, the role finds out.

    Raises:
        BudgetSpent: none may.
    """
    if remaining(state, settings) == 0:
        raise BudgetSpent(f"the budget of {settings.budget} model calls is spent; give a larger one")

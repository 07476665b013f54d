"""What is left of a run's budgets of model calls and tokens."""

from __future__ import annotations

from collections.abc import Sequence

from imagescope_agent.errors import BudgetSpent
from imagescope_agent.settings import Settings
from imagescope_agent.state import State
from imagescope_agent.usage import StepUsage, sum_usage


def remaining(state: State, settings: Settings, used: Sequence[StepUsage] = ()) -> int | None:
    """How many model calls the run may still make; None without a limit.

    Args:
        state: with the usage of the finished steps.
        settings: hold the budget.
        used: by the step that is running.
    """
    if settings.budget is None:
        return None
    return max(0, settings.budget - sum_usage([*state.get("usage", []), *used]).calls)


def tokens_left(state: State, settings: Settings) -> int | None:
    """How many prompt and completion tokens the run may still use; None without a limit."""
    if settings.token_budget is None:
        return None
    return max(0, settings.token_budget - sum_usage(state.get("usage", [])).tokens)


def require_call(state: State, settings: Settings) -> None:
    """Make sure that one more model call is allowed; tokens are checked by the role that makes it.

    Raises:
        BudgetSpent: it is not.
    """
    if remaining(state, settings) == 0:
        raise BudgetSpent(f"the budget of {settings.budget} model calls is spent; give a larger one")

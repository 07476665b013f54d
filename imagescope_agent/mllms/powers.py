"""What the model of a role can do beside writing text."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel


class Powers:
    """Of a role with a model."""

    model: BaseChatModel
    prompt_set: str | None

    @property
    def query_words(self) -> tuple[str, str | None] | None:
        """Step and prompt set of the words that queries are embedded in; None of a model trained with no such words."""
        step = getattr(self.model, "query_step", None)
        return (step, self.prompt_set) if isinstance(step, str) else None

    def has(self, power: type[Any]) -> bool:
        """Whether the model has a power of `mllms.protocols`."""
        return isinstance(self.model, power)

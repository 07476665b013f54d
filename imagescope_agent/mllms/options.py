"""The options that a profile gives a class of chat models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from imagescope_agent.errors import BadInput, suggest


def require_known_options(named: str, hosted: type[BaseChatModel], options: Mapping[str, Any]) -> None:
    """Make sure that a model class has every option: a misspelt one would be ignored.

    Raises:
        BadInput: it has not.
    """
    fields = hosted.model_fields
    known = {word for name, field in fields.items() for word in (name, field.alias) if word}
    own = known - BaseChatModel.model_fields.keys()
    if unknown := next((name for name in options if name not in known), None):
        raise BadInput(
            f"a model of the class {named!r} has no option {unknown!r}; {suggest(unknown, own)} (mend the profile)"
        )

"""The place of a chat model in a profile that has none: every request is refused, and the graphs go on without."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult

from imagescope_agent.errors import NoModel


class Absent(BaseChatModel):
    """No model. A captioner that is absent leaves pictures without captions; other steps fall back, with a note."""

    @property
    def weights(self) -> str:
        """What an index is told about it."""
        return "none"

    @property
    def _llm_type(self) -> str:
        return "none"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NoModel(
            "the profile has no chat model; use a profile that names a model for every role, "
            "or for searches the graph 'retrieve'"
        )

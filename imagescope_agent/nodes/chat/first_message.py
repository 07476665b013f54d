"""The first message of a conversation, without what neither it nor the reference gives the ground for."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.grounded_update import described, passed_over
from imagescope_agent.nodes.chat.grounding import Grounding, words_of
from imagescope_agent.nodes.understand import Understand, reference_words
from imagescope_agent.records import note
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.settings import Settings
from imagescope_agent.state import Instruction, Intent, State


class UnderstandFirst(Understand):
    """As `Understand`, without instructions that neither the query nor the reference gives the ground for.

    Args:
        reasoner, embedder: as `Understand`.
        images: as `UpdateDialogueState`.
    """

    def __init__(
        self, reasoner: Role, embedder: Embedder | None = None, images: Collection | None = None
    ) -> None:
        super().__init__(reasoner, embedder)
        self.images = images

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`; errors as `Understand`."""
        update = await super().__call__(state, runtime, again)
        intent, query = update["intent"], state["query"]
        grounding = Grounding([query, reference_words(state)], self.embedder)
        held = [step for step in intent["steps"] if await grounding.holds(step["text"])]
        texts = [step["text"] for step in held]
        lost = await passed_over(query, texts, self.embedder, words_of(self.images)) if held else []
        if len(held) == len(intent["steps"]) and not lost:
            return update
        notes = [
            note(self.step, "drifted", f"{step['text']!r} is not in the message and was left out")
            for step in intent["steps"]
            if step not in held
        ]
        more: list[Instruction] = [{"type": step.type, "text": step.text} for step in lost]
        steps = [*held, *more] or [Instruction(type="Addition", text=query)]
        full = described(steps)
        changed: Intent = {"steps": steps, "core": full, "enhanced": full, "full": full}
        return {**update, "intent": changed, "notes": [*update["notes"], *notes]}

"""CoTRR's description of the target image for composed retrieval (arXiv 2509.14746)."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.intent.drift import drift
from imagescope_agent.nodes.intent.understand import Understand, reference_words
from imagescope_agent.nodes.model_calls import account, ask_one, on_budget
from imagescope_agent.prompting import load_prompt
from imagescope_agent.replies.parsing import parse_caption
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, plain_intent, references_of


class DescribeTarget:
    """Describe the wanted image from the references and the query: one call of the model, none without a reference.

    The paper has one model for everything, and one reference. Of several, each under its number, the description is
    that of `Understand`.

    Args:
        reasoner: the model; in `cotrr` the one that judges, since a reasoner may be taught to read queries alone.
        embedder: detects a description that drifts from the query; None accepts any description.
        several: is called in its place where there are several references; None for the same model.
    """

    step = "target"

    def __init__(self, reasoner: Role, embedder: Embedder | None = None, several: Role | None = None) -> None:
        self.reasoner, self.role, self.embedder = reasoner, reasoner.name, embedder
        self.of_several = Understand(reasoner, embedder, several)
        self.of_several.step = self.step
        self.prompt = load_prompt("target", prompt_set=reasoner.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`: the same description at every grain; a text query describes itself.

        Raises:
            UnreadableReply: the reply holds no words, or has nothing to do with the request.
            BudgetSpent: the reasoner may not be asked.
        """
        if state.get("reference") is None:
            return {"intent": plain_intent(state["query"])}
        if len(references_of(state)) > 1:
            update = await self.of_several(state, runtime, again)
            return {**update, "intent": plain_intent(update["intent"]["full"])}
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(instruction=state["query"], reference=state["reference_caption"])
        reasoner = on_budget(self.reasoner, state, settings)
        described, reply = await ask_one(reasoner, text, parse_caption, again=again)
        intent, known = plain_intent(described), reference_words(state)
        if problem := await drift(intent, state["query"], known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        return {"intent": intent, **account(self, reply)}

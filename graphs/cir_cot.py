"""CIR-CoT (arXiv 2510.08003): one model writes its chain of thought, then embeds the query; one lookup.

Needs an embedder that reasons: `embedder = "cir_cot:DIR"` in a profile, with a model of `imagescope train cir-cot`,
and a collection that has its vectors. The setting `reasoning` says when the chain is written: "full" (always),
"fast" (never), "auto" (where the vector without it does not decide). One model call at most, and none for "fast".
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.reason import Reason, RetrieveReasoned, no_chain, undecided
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with the ranking."""
    embedder, images = services.embedder, services.collection
    reason = or_else(Reason(embedder, images), no_chain, instead="the vector without a chain")

    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", Begin(images))
    graph.add_node("embed", RetrieveReasoned(embedder, images))
    graph.add_node("reason", reason, retry_policy=RETRY_TRANSIENT)
    graph.add_node("embed_reasoned", RetrieveReasoned(embedder, images))
    graph.add_node("answer", Answer(images, services.fulfilment))

    def after_begin(state: State, runtime: Runtime[Settings]) -> Literal["embed", "reason"]:
        """The vector without a chain is only made where it may be enough."""
        return "reason" if current(runtime).reasoning == "full" else "embed"

    def after_embed(state: State, runtime: Runtime[Settings]) -> Literal["reason", "answer"]:
        """Think where the first look does not decide."""
        auto = current(runtime).reasoning == "auto"
        return "reason" if auto and undecided(state, embedder) else "answer"

    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", after_begin)
    graph.add_conditional_edges("embed", after_embed)
    graph.add_edge("reason", "embed_reasoned")
    graph.add_edge("embed_reasoned", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="cir_cot")


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

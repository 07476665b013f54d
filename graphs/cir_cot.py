"""CIR-CoT (arXiv 2510.08003): one model writes its chain of thought, then embeds the query; one lookup.

Needs an embedder that reasons: `embedder = "cir_cot:DIR"` in a profile, with a model of `imagescope train cir-cot`,
and a collection that has its vectors. The setting `reasoning` says when the chain is written: "full" (always),
"fast" (never), "auto" (where the vector without it does not decide). One model call at most, and none for "fast".
The setting `chain_writer` may have captioner and reasoner write it in the embedder's place: 1 reasoner, and 1
captioner for a reference outside the collection; "auto" then goes by the settings `roles_threshold` and
`roles_threshold_text`, where they are given.
A profile may name the model as its `first_stage` beside another `embedder`, which made the collection's own vectors:
"auto" can then go by whether both find the same image (`agree_within`).
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.agree import RetrieveTwice
from imagescope_agent.nodes.intent.reason import (
    Reason,
    RetrieveReasoned,
    no_chain,
    roles_threshold,
    undecided,
)
from imagescope_agent.nodes.intent.understand import Describe, Understand, query_as_intent, unknown_reference
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with the ranking."""
    images, own = services.collection, services.embedder
    embedder = services.first_stage or own
    reason = or_else(Reason(embedder, images), no_chain, instead="the vector without a chain")

    describe = or_else(Describe(services.captioner, images), unknown_reference, instead="no caption")
    reader = Understand(services.reasoner, own, services.multi_reasoner)
    understand = or_else(reader, query_as_intent, instead="the query")

    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", Begin(images, own))
    graph.add_node("embed", RetrieveTwice(embedder, images, own))
    graph.add_node("reason", reason, retry_policy=RETRY_TRANSIENT)
    graph.add_node("describe", describe, retry_policy=RETRY_TRANSIENT)
    graph.add_node("understand", understand, retry_policy=RETRY_TRANSIENT)
    graph.add_node("embed_reasoned", RetrieveReasoned(embedder, images, own))
    graph.add_node("answer", Answer(images, services.fulfilment))

    def after_begin(state: State, runtime: Runtime[Settings]) -> Literal["embed", "reason", "describe"]:
        """The vector without a chain is only made where it may be enough."""
        return writer(runtime) if current(runtime).reasoning == "full" else "embed"

    def after_embed(state: State, runtime: Runtime[Settings]) -> Literal["reason", "describe", "answer"]:
        """Think where the first look does not decide."""
        settings = current(runtime)
        thinks = settings.reasoning == "auto" and undecided(state, embedder, roles_threshold(state, settings))
        return writer(runtime) if thinks else "answer"

    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", after_begin)
    graph.add_conditional_edges("embed", after_embed)
    graph.add_edge("describe", "understand")
    graph.add_edge("understand", "embed_reasoned")
    graph.add_edge("reason", "embed_reasoned")
    graph.add_edge("embed_reasoned", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="cir_cot")


def writer(runtime: Runtime[Settings]) -> Literal["reason", "describe"]:
    """The node that begins the chain."""
    return "describe" if current(runtime).chain_writer == "roles" else "reason"


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

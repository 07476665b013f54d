"""ImageScope (arXiv 2503.10166): understand, retrieve, verify every predicate, judge the best.

Text-to-image and composed retrieval in three stages without training. Calls per query: 2 reasoner,
top_k x questions verifier, at most alpha judge, and 1 captioner for a reference outside the collection.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.first_stage import first_stage
from imagescope_agent.nodes.intent.understand import (
    Describe,
    Predicates,
    Understand,
    no_predicates,
    query_as_intent,
    unknown_reference,
)
from imagescope_agent.nodes.judging.judge import JudgeTop
from imagescope_agent.nodes.verify import Verify
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with ranking and reasons."""
    images = services.collection
    describe = Describe(services.captioner, images)
    understand = Understand(services.reasoner, services.embedder, services.multi_reasoner)
    predicates = Predicates(services.reasoner, images)
    verify = Verify(services.verifier, images)
    judge = JudgeTop(services.judge, images)

    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", Begin(images, services.embedder))
    graph.add_node(
        "describe", or_else(describe, unknown_reference, instead="no caption"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node(
        "understand", or_else(understand, query_as_intent, instead="the query"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node(
        "retrieve", first_stage(services.embedder, images, services.captions, services.first_stage)
    )
    graph.add_node(
        "predicates", or_else(predicates, no_predicates, instead="none"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node("verify", verify, retry_policy=RETRY_TRANSIENT)
    graph.add_node("judge", judge, retry_policy=RETRY_TRANSIENT)
    graph.add_node("answer", Answer(services.collection, services.fulfilment))

    graph.add_edge(START, "begin")
    graph.add_edge("begin", "describe")
    graph.add_edge("describe", "understand")
    graph.add_edge("understand", "retrieve")
    graph.add_edge("retrieve", "predicates")
    graph.add_edge("predicates", "verify")
    graph.add_edge("verify", "judge")
    graph.add_edge("judge", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="imagescope")


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

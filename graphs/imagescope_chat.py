"""ImageScope's own procedure for conversations (arXiv 2503.10166, section on Chat-IR): each round is a new search.

One run per round on a thread. A round's instruction is what was said in it; the reference description is the target's
core description from the round before. Nothing else is carried over, and the calls are ImageScope's.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.chat.begin_round import BeginRound
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.understand import Predicates, Understand, no_predicates, query_as_intent
from imagescope_agent.nodes.judging.judge import JudgeTop
from imagescope_agent.nodes.retrieve import Retrieve
from imagescope_agent.nodes.verify import Verify
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query": what a round said} -> `State` with the round's ranking."""
    images = services.collection
    understand = Understand(services.reasoner, services.embedder)
    predicates = Predicates(services.reasoner, images)

    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", BeginRound(images, services.embedder))
    graph.add_node(
        "understand", or_else(understand, query_as_intent, instead="the query"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node("retrieve", Retrieve(services.embedder, images, services.captions))
    graph.add_node(
        "predicates", or_else(predicates, no_predicates, instead="none"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node("verify", Verify(services.verifier, images), retry_policy=RETRY_TRANSIENT)
    graph.add_node("judge", JudgeTop(services.judge, images), retry_policy=RETRY_TRANSIENT)
    graph.add_node("answer", Answer(services.collection, services.fulfilment))

    graph.add_edge(START, "begin")
    graph.add_edge("begin", "understand")
    graph.add_edge("understand", "retrieve")
    graph.add_edge("retrieve", "predicates")
    graph.add_edge("predicates", "verify")
    graph.add_edge("verify", "judge")
    graph.add_edge("judge", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="imagescope_chat")


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

"""MRA (arXiv 2505.19952): one vector of reference and text from a trained composer, one lookup, no chat model.

Needs an embedder that composes: `embedder = "composer:DIR"` in a profile, with a composer that `imagescope train
composer` made of triplets (`imagescope triplets`), or a multimodal embedder. Without a reference it is plain text
search.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.compose import RetrieveComposed
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with the ranking."""
    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", Begin(services.collection, services.embedder))
    graph.add_node("compose", RetrieveComposed(services.embedder, services.collection))
    graph.add_node("answer", Answer(services.collection, services.fulfilment))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "compose")
    graph.add_edge("compose", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="mra")


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

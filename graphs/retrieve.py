"""The baseline: plain search with the embedding model, no chat model asked.

A text query as it stands; with a reference image, the mean of its unit vector and the text's.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.retrieve import RetrievePlain
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with the ranking."""
    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", Begin(services.collection, services.embedder))
    graph.add_node("retrieve", RetrievePlain(services.embedder, services.collection))
    graph.add_node("answer", Answer(services.collection, services.fulfilment))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "retrieve")
    graph.add_edge("retrieve", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="retrieve")


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

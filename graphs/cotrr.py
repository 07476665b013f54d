"""CoTRR (arXiv 2509.14746): retrieve, then one chain of thought over the ten best that ends in their order.

Text-to-image and composed retrieval without training. Calls per query: 1 judge (one more when its reply cannot be
read); with a reference 1 more judge for the description of the target, with several 1 reasoner instead, and 1
captioner for each that lies outside the collection. Images rejected before are left out, what looks like them falls
back (`Settings.penalty`), and every rejection shrinks the space (`Settings.shrink`).
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.first_stage import first_stage
from imagescope_agent.nodes.intent.describe_target import DescribeTarget
from imagescope_agent.nodes.intent.understand import Describe, query_as_intent, unknown_reference
from imagescope_agent.nodes.judging.judge import JudgeBest
from imagescope_agent.nodes.judging.penalize_rejected import PenalizeRejected
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import RepeatedSearchInput, State
from imagescope_agent.traces.instrument import served

CANDIDATES = 10  # N of the paper


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None, "rejected": ids} -> `State`."""
    images = services.collection
    describe = Describe(services.captioner, images)
    several = services.multi_reasoner or services.reasoner
    target = DescribeTarget(services.judge, services.embedder, several)
    judge = JudgeBest(services.judge, images, judge="cotrr", most=CANDIDATES)

    graph = StateGraph(State, context_schema=Settings, input_schema=RepeatedSearchInput)
    graph.add_node("begin", Begin(images, services.embedder))
    graph.add_node(
        "describe", or_else(describe, unknown_reference, instead="no caption"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node(
        "target", or_else(target, query_as_intent, instead="the query"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node(
        "retrieve", first_stage(services.embedder, images, services.captions, services.first_stage)
    )
    graph.add_node("soften", PenalizeRejected(images))
    graph.add_node("judge", judge, retry_policy=RETRY_TRANSIENT)
    graph.add_node("answer", Answer(services.collection, services.fulfilment))

    graph.add_edge(START, "begin")
    graph.add_edge("begin", "describe")
    graph.add_edge("describe", "target")
    graph.add_edge("target", "retrieve")
    graph.add_edge("retrieve", "soften")
    graph.add_edge("soften", "judge")
    graph.add_edge("judge", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="cotrr").with_config(metadata={"judge": "cotrr"})


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

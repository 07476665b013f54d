"""X^R (arXiv 2601.14245): imagine the target from text and from the picture, fuse similarities, ask three questions.

Text-to-image and composed retrieval without training. Calls per query: 2 reasoner, top_k x 3 verifier; with a reference
1 captioner that sees it, and 1 more for its caption where it is outside the collection. From the paper and its authors'
published code: both imaginations, reciprocal rank fusion of pictures and captions over 100 candidates with weight `tau`
for captions, yes/no questions, the product of right answers and similarity as the last score. Inferred: three
questions, about the `top_k` best and their pictures alone (the code can ask about captions too), and the prompts, which
are those of the other graphs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.imagine import (
    FewPredicates,
    Imagine,
    RetrieveFused,
    VerifyWeighed,
    imagined_from_text,
)
from imagescope_agent.nodes.intent.understand import (
    Describe,
    Understand,
    no_predicates,
    query_as_intent,
    unknown_reference,
)
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with ranking and reasons."""
    images, embedder = services.collection, services.embedder
    describe = Describe(services.captioner, images)
    understand = Understand(services.reasoner, embedder, services.multi_reasoner)
    imagine = Imagine(services.captioner, images, embedder)
    questions = FewPredicates(services.reasoner, images)
    steps: dict[str, Any] = {
        "describe": or_else(describe, unknown_reference, instead="no caption"),
        "understand": or_else(understand, query_as_intent, instead="the query"),
        "imagine": or_else(imagine, imagined_from_text, instead="what the text says"),
        "retrieve": RetrieveFused(embedder, images, services.captions),
        "predicates": or_else(questions, no_predicates, instead="none"),
        "verify": VerifyWeighed(services.verifier, images),
    }
    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    graph.add_node("begin", Begin(images, embedder))
    for name, node in steps.items():
        graph.add_node(name, node, retry_policy=RETRY_TRANSIENT)
    graph.add_node("answer", Answer(images, services.fulfilment))
    order = [START, "begin", *steps, "answer", END]
    for one, other in pairwise(order):
        graph.add_edge(one, other)
    return graph.compile(checkpointer=checkpointer, name="xr")


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)

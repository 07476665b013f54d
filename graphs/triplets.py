"""MRA's agent (arXiv 2505.19952): builds one training triplet <reference, text, target> from unlabelled images.

A run looks at one pair number: a reference and neighbours in a band of image similarity. The editor picks the neighbour
that few changes lead to and writes them as a user would; a setwise judge must then find it from reference and words,
among other neighbours and the reference itself, in two shuffled orders, or the pair is dropped. Calls per pair: 1
editor, at most 4 judge, and 1 reasoner where the judge's words want atomic instructions. `imagescope triplets` runs it
until there are enough.
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.understand import Understand, query_as_intent
from imagescope_agent.nodes.triplets.check import Check, needs_steps
from imagescope_agent.nodes.triplets.inputs import PairInput
from imagescope_agent.nodes.triplets.keep import Keep
from imagescope_agent.nodes.triplets.pair import Pair
from imagescope_agent.nodes.triplets.propose import Propose, no_proposal
from imagescope_agent.services import Services, weights_of
from imagescope_agent.settings import Settings
from imagescope_agent.state import State


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"pair": number, "tired": ids} -> `State` with `triplet`, or why it was `dropped`."""
    images, judge = services.collection, services.judge
    editor = services.editor or judge
    propose = Propose(editor, images)
    understand = Understand(services.reasoner)

    graph = StateGraph(State, context_schema=Settings, input_schema=PairInput)
    graph.add_node("pair", Pair(images))
    graph.add_node(
        "propose", or_else(propose, no_proposal, instead="the next pair"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node(
        "understand", or_else(understand, query_as_intent, instead="the words"), retry_policy=RETRY_TRANSIENT
    )
    graph.add_node("check", Check(judge, images), retry_policy=RETRY_TRANSIENT)
    graph.add_node("keep", Keep(lambda: {"editor": weights_of(editor), "judge": weights_of(judge)}))

    def after_propose(state: State) -> Literal["understand", "check", "__end__"]:
        """Understand only where the judge's words want it."""
        if state["dropped"]:
            return "__end__"
        return "understand" if needs_steps(judge) else "check"

    graph.add_edge(START, "pair")
    graph.add_conditional_edges("pair", after_pair)
    graph.add_conditional_edges("propose", after_propose)
    graph.add_edge("understand", "check")
    graph.add_conditional_edges("check", after_check)
    graph.add_edge("keep", END)
    return graph.compile(checkpointer=checkpointer, name="triplets")


def after_pair(state: State) -> Literal["propose", "__end__"]:
    """An image without a band is left alone."""
    return "__end__" if state["dropped"] else "propose"


def after_check(state: State) -> Literal["keep", "__end__"]:
    """Only what the judge found is kept."""
    return "__end__" if state["dropped"] else "keep"

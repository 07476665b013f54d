"""MRA's agent (arXiv 2505.19952): builds one training triplet <reference, text, target> from unlabelled images.

A run looks at one pair number: a reference and neighbours in a band of image similarity. The editor picks the neighbour
that few changes lead to and writes them as a user would. What the words ask for is understood and made into questions,
as of any query; all must hold of the target and not all of the reference. A setwise judge must then find the target
from reference and words, among other neighbours and the reference itself, in two shuffled orders, or the pair is
dropped. Cheap and strict parts come first. `imagescope triplets` runs it until there are enough.
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.understand import (
    Describe,
    Predicates,
    Understand,
    no_predicates,
    query_as_intent,
    unknown_reference,
)
from imagescope_agent.nodes.triplets.check import Check
from imagescope_agent.nodes.triplets.inputs import PairInput
from imagescope_agent.nodes.triplets.keep import Keep
from imagescope_agent.nodes.triplets.pair import SHOWN, SHOWN_IN_WORDS, Pair
from imagescope_agent.nodes.triplets.propose import Propose, no_proposal
from imagescope_agent.nodes.triplets.verify_edit import VerifyEdit
from imagescope_agent.services import Services, weights_of
from imagescope_agent.settings import Settings
from imagescope_agent.state import State


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"pair": number, "tired": ids} -> `State` with `triplet`, or why it was `dropped`."""
    images, editor = services.collection, services.editor or services.judge
    propose = Propose(editor, images)
    pair = Pair(images, SHOWN_IN_WORDS if propose.in_words else SHOWN)
    describe = or_else(Describe(services.captioner, images), unknown_reference, instead="no caption")
    write = or_else(propose, no_proposal, instead="the next pair")
    understand = or_else(Understand(services.reasoner), query_as_intent, instead="the words")
    questions = or_else(Predicates(services.reasoner), no_predicates, instead="no checks")
    models = ("editor", editor), ("reasoner", services.reasoner), ("verifier", services.verifier)

    graph = StateGraph(State, context_schema=Settings, input_schema=PairInput)
    graph.add_node("pair", pair)
    graph.add_node("describe", describe, retry_policy=RETRY_TRANSIENT)
    graph.add_node("propose", write, retry_policy=RETRY_TRANSIENT)
    graph.add_node("understand", understand, retry_policy=RETRY_TRANSIENT)
    graph.add_node("predicates", questions, retry_policy=RETRY_TRANSIENT)
    graph.add_node("verify", VerifyEdit(services.verifier, images), retry_policy=RETRY_TRANSIENT)
    graph.add_node("check", Check(services.judge, images), retry_policy=RETRY_TRANSIENT)
    graph.add_node("keep", Keep(lambda: {k: weights_of(v) for k, v in (*models, ("judge", services.judge))}))

    graph.add_edge(START, "pair")
    graph.add_conditional_edges("pair", after_pair)
    graph.add_edge("describe", "propose")
    graph.add_conditional_edges("propose", after_propose)
    graph.add_edge("understand", "predicates")
    graph.add_edge("predicates", "verify")
    graph.add_conditional_edges("verify", after_verify)
    graph.add_conditional_edges("check", after_check)
    graph.add_edge("keep", END)
    return graph.compile(checkpointer=checkpointer, name="triplets")


def after_pair(state: State) -> Literal["describe", "__end__"]:
    """An image without a band is left alone."""
    return "__end__" if state["dropped"] else "describe"


def after_propose(state: State) -> Literal["understand", "__end__"]:
    """Only clear words are understood."""
    return "__end__" if state["dropped"] else "understand"


def after_verify(state: State) -> Literal["check", "__end__"]:
    """Only what holds of the target is judged."""
    return "__end__" if state["dropped"] else "check"


def after_check(state: State) -> Literal["keep", "__end__"]:
    """Only what the judge found is kept."""
    return "__end__" if state["dropped"] else "keep"

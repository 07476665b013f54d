"""CIR-CoT's annotations (arXiv 2510.08003): writes the chain of thought of one triplet, or says why there is none.

A model that sees reference, words and target writes what changes and what is therefore looked for. The chain is dropped
when it says what only the target could tell, when the verifier denies it on the target, or when it fits one of the
triplet's distractors as well. Models that were not taught to write from two pictures understand reference and words
alone. Calls per triplet: 1 captioner where the index has no caption, 2 reasoner, 1 judge, and the verifier's.
`imagescope annotate` runs it for a file of triplets.
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
from imagescope_agent.nodes.triplets.annotate import KeepChain, TakeUp, WriteChain, no_chain_written
from imagescope_agent.nodes.triplets.inputs import TripletInput
from imagescope_agent.nodes.verify import Verify
from imagescope_agent.prompting import is_asked
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import State


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: `TripletInput` -> `State` with `triplet` (the chain), or why it was `dropped`."""
    images, writer = services.collection, services.editor or services.judge
    sees = is_asked("annotate", writer.prompt_set)
    describe = or_else(Describe(services.captioner, images), unknown_reference, instead="no caption")
    blind = or_else(Understand(services.reasoner), query_as_intent, instead="the words as they are")
    write = or_else(WriteChain(writer, images), no_chain_written, instead="the next triplet")
    questions = or_else(Predicates(services.reasoner), no_predicates, instead="no checks")

    graph = StateGraph(State, context_schema=Settings, input_schema=TripletInput)
    graph.add_node("take_up", TakeUp())
    graph.add_node("describe", describe, retry_policy=RETRY_TRANSIENT)
    graph.add_node("understand", blind, retry_policy=RETRY_TRANSIENT)
    graph.add_node("write", write, retry_policy=RETRY_TRANSIENT)
    graph.add_node("predicates", questions, retry_policy=RETRY_TRANSIENT)
    graph.add_node("verify", Verify(services.verifier, images), retry_policy=RETRY_TRANSIENT)
    graph.add_node("keep", KeepChain())

    def after_understand(state: State) -> Literal["write", "predicates"]:
        """Write only where the model can."""
        return "write" if sees else "predicates"

    graph.add_edge(START, "take_up")
    graph.add_edge("take_up", "describe")
    graph.add_edge("describe", "understand")
    graph.add_conditional_edges("understand", after_understand)
    graph.add_conditional_edges("write", after_write)
    graph.add_edge("predicates", "verify")
    graph.add_edge("verify", "keep")
    graph.add_edge("keep", END)
    return graph.compile(checkpointer=checkpointer, name="annotate")


def after_write(state: State) -> Literal["predicates", "__end__"]:
    """A chain that leaks is not verified."""
    return "__end__" if state["dropped"] else "predicates"

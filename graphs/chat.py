"""Chat-IR: a conversation that keeps what was said, checks only what is new, and asks what would help most.

One run per turn on a thread. Beside ImageScope's calls 1 talker, for folding (2 where images have fields to filter by),
and 1 reasoner; a question 1 talker to propose, 1 to word each proposal, at most 20 verifier each. Asking interrupts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from imagescope_agent.nodes.chat.clarifying_question import AnswerTurn, Choose, Propose, Survey, Word, ask
from imagescope_agent.nodes.chat.deepen_retrieval import RetrieveLiked, VerifyDeeper, go_further, too_few_fit
from imagescope_agent.nodes.chat.dialogue_state import (
    UpdateDialogueState,
    VerifyNewFacts,
    message_as_fact,
    standing_predicates,
)
from imagescope_agent.nodes.chat.filter_message import FilterMessage
from imagescope_agent.nodes.chat.parse_message import ParseMessage, has_words, is_first
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.selective_judge import SelectiveJudge
from imagescope_agent.nodes.understand import Describe, Understand, query_as_intent, unknown_reference
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import MessageInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query": message, "reference": id, path or None} -> `State` with the turn's answer."""
    images, talker, embedder = services.collection, services.talker, services.embedder
    understand = Understand(services.reasoner, embedder)
    fold, check = UpdateDialogueState(talker, embedder), VerifyNewFacts(services.reasoner)
    propose, word = Propose(talker, images), Word(talker)

    graph = StateGraph(State, context_schema=Settings, input_schema=MessageInput)
    for name, node in {
        "describe": or_else(Describe(services.captioner, images), unknown_reference, instead="no caption"),
        "understand": or_else(understand, query_as_intent, instead="the query"),
        "fold": or_else(fold, message_as_fact, instead="the message's own words"),
        "filter": or_else(FilterMessage(talker, images), lambda state: {}, instead="the filter that stands"),
        "predicates": or_else(check, standing_predicates, instead="the standing ones"),
        "verify": VerifyDeeper(services.verifier, images),
        "judge": SelectiveJudge(services.judge, images),
        "propose": or_else(propose, lambda state: {}, instead="no question"),
        "word": or_else(word, lambda state: {}, instead="its predicate's words"),
        "survey": Survey(services.verifier, images),
    }.items():
        graph.add_node(name, node, retry_policy=RETRY_TRANSIENT)
    graph.add_node("begin", ParseMessage(images))
    graph.add_node("retrieve", RetrieveLiked(embedder, images, services.captions))
    graph.add_node("further", go_further)
    graph.add_node("choose", Choose())
    graph.add_node("answer", AnswerTurn(services.collection))
    graph.add_node("ask", ask)

    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", after_begin)
    graph.add_conditional_edges("describe", after_describe)
    found = ("fold", "filter", "retrieve", "predicates", "verify")
    answered = ("judge", "propose", "word", "survey", "choose", "answer")
    aside = (("understand", "filter"), ("further", "verify"), ("ask", "begin"))
    for before, after in (*pairwise(found), *pairwise(answered), *aside):
        graph.add_edge(before, after)
    graph.add_conditional_edges("verify", after_verify)
    graph.add_conditional_edges("answer", after_answer)
    return graph.compile(checkpointer=checkpointer, name="chat")


def after_begin(state: State) -> Literal["describe", "understand", "fold", "retrieve"]:
    """The reference is described once; likes, rejections and "skip" leave the intent as it is."""
    return after_describe(state) if state["reference_caption"] else "describe"


def after_describe(state: State) -> Literal["understand", "fold", "retrieve"]:
    """The first message is understood, later ones are folded into what is known."""
    if not has_words(state):
        return "retrieve"
    return "understand" if is_first(state) else "fold"


def after_verify(state: State, runtime: Runtime[Settings]) -> Literal["further", "judge"]:
    """Look further down the ranking while too few fit."""
    return "further" if too_few_fit(state, current(runtime)) else "judge"


def after_answer(state: State) -> Literal["ask", "__end__"]:
    """Wait for an answer where a question was asked."""
    return "ask" if state["question"] is not None else "__end__"


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)
